"""What holds for every test, wherever it is started."""

from __future__ import annotations

import gc
import json
import os
import signal
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests import leftovers
from tests.integration.namespaces import OwnNetwork

HERE = Path(__file__).parent
# Seconds that each test took on an idle machine; `make durations` writes it.
DURATIONS: dict[str, float] = json.loads((HERE / "durations.json").read_text())
# Folders whose tests share what a module has started, and are shared out among workers.
SHARED = tuple(
    HERE / name for name in ("integration", "oracles", "system", "faults", "workloads", "e2e", "releases")
)

# A job in the background of a shell starts with SIGINT ignored, nohup ignores SIGHUP, and all that the tests
# start would do so too: those that interrupt a process would prove nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example may take is no property of the code: the machine may be busy with virtual machines.
hypothesis.settings.register_profile("hardener", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("hardener")


def pytest_configure(config: pytest.Config) -> None:
    """Several workers take whole groups, in their order: a module's tests share what its fixtures start."""
    if config.getoption("dist", "no") == "load":
        config.option.dist = "loadgroup"
        config.option.loadscopereorder = False  # the number of its tests says nothing of a module's length
    if hasattr(config, "workerinput"):  # a worker has nothing but the command line
        config.option.loadgroup = True


def pytest_sessionstart(session: pytest.Session) -> None:
    """Clear up what killed runs have left, and say whose the temporary folder of this one is."""
    if not hasattr(session.config, "workerinput"):
        leftovers.sweep()
        leftovers.mark(session.config._tmp_path_factory.getbasetemp())  # type: ignore[attr-defined]


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests of one module on one worker, and start the longest first, so that none waits in the end."""
    if not all(any(item.path.is_relative_to(folder) for folder in SHARED) for item in items):
        return
    seconds: defaultdict[str, float] = defaultdict(float)
    for item in items:
        if _shares_its_host(item) and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.name))
        seconds[_group(item)] += DURATIONS.get(item.nodeid, 0)
    items.sort(key=lambda item: -seconds[_group(item)])


def pytest_collection_finish() -> None:
    """Exempt what collection has made from garbage collection, which takes a third of the time otherwise."""
    gc.collect()
    gc.freeze()


def _group(item: pytest.Item) -> str:
    mark = item.get_closest_marker("xdist_group")
    return str(mark.args[0]) if mark else item.nodeid


def _shares_its_host(item: pytest.Item) -> bool:
    """Whether its host is its module's: not one of its own, nor one that any worker may start for it."""
    names = item.fixturenames if isinstance(item, pytest.Function) else ()
    return "boot" not in names and item.get_closest_marker("independent") is None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many points of faults were tried: see tests/faults."""
    reports = [report for group in ("passed", "failed") for report in terminalreporter.getreports(group)]
    points = [value for each in reports for name, value in each.user_properties if name == "fault points"]
    if points:
        terminalreporter.write_line(f"{sum(points)} points of faults")


@pytest.fixture(scope="session", autouse=True)
def _bytecode() -> Iterator[None]:
    """Hundreds of processes are started of the same sources: these are compiled once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _history_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test writes into the history of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARDENER_HOME", str(tmp_path_factory.mktemp("history")))
        yield


@pytest.fixture(scope="session")
def own_network() -> Iterator[OwnNetwork | None]:
    """A network of its own for what the session starts: engines of other runs, or of the machine, go on.

    It is here, since a second definition would take the session out of the network of its engine.
    """
    if os.geteuid() != 0:  # those that need an engine say so
        yield None
        return
    with OwnNetwork() as network:
        yield network
