"""Fixtures of tests on whole hosts; a folder's conftest says where its hosts come from (``pristine``).

def test_of_a_host(guest): ...                        # Debian 13, shared by the module

@pytest.mark.parametrize("guest", ["12"], indirect=True)
def test_of_another_release(guest): ...

def test_that_breaks_it(boot):                        # its own, gone after the test
    guest = boot("testing")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from hardener import lab

Boot = Callable[[str], lab.Guest]


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
