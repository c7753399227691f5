"""Pristine Docker hosts for the tests that need a whole machine.

def test_of_a_host(guest): ...                        # Debian 13, shared by the module

@pytest.mark.parametrize("guest", ["12"], indirect=True)
def test_of_another_release(guest): ...

def test_that_breaks_it(boot):                        # its own, gone after the test
    guest = boot("testing")
"""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hardener import lab

Boot = Callable[[str], lab.Guest]

_numbers = itertools.count()
_SHARED = frozenset({"busy", "guest", "host", "prepared"})  # fixtures that are guests of a module


@pytest.hookimpl(tryfirst=True)  # xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all that is here, for those who have no time for virtual machines, and share it out.

    Tests of one guest stay together. Those with guests of their own take longest: they come first, and then
    the guests with most tests, so that no worker waits for the other in the end.
    """
    here = Path(__file__).parent
    ours = [item for item in items if item.path.is_relative_to(here)]
    for item in ours:
        item.add_marker(pytest.mark.lab)
        if not _has_its_own_guests(item):
            item.add_marker(pytest.mark.xdist_group(item.path.name))
    if len(ours) == len(items):
        sizes = Counter(item.path for item in ours)
        items.sort(key=lambda item: (not _has_its_own_guests(item), -sizes[item.path]))


def _has_its_own_guests(item: pytest.Item) -> bool:
    names = item.fixturenames if isinstance(item, pytest.Function) else ()
    return "boot" in names and _SHARED.isdisjoint(names)


@pytest.fixture(scope="session")
def pristine() -> Boot:
    """Starts guests under names that no other run has."""
    for old in lab.status():
        run = re.fullmatch(r"test-(\d+)-\d+", old.name)
        if run and not Path(f"/proc/{run[1]}").exists():  # that run was killed
            old.stop()

    def start(release: str) -> lab.Guest:
        return lab.up(f"test-{os.getpid()}-{next(_numbers)}", release, say=print)

    return start


@pytest.fixture(scope="module")
def guest(request: pytest.FixtureRequest, pristine: Boot) -> Iterator[lab.Guest]:
    """A Docker host, pristine when the module begins; Debian 13 unless parametrized otherwise."""
    started = pristine(getattr(request, "param", "13"))
    yield started
    started.stop()


@pytest.fixture
def boot(pristine: Boot) -> Iterator[Boot]:
    """Starts pristine Docker hosts for one test."""
    started: list[lab.Guest] = []

    def start(release: str = "13") -> lab.Guest:
        started.append(pristine(release))
        return started[-1]

    yield start
    for each in started:
        each.stop()
