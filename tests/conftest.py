"""What holds for every test, wherever it is started."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import hypothesis
import pytest

# A job in the background of a shell starts with SIGINT ignored, nohup ignores SIGHUP, and all that the tests
# start would do so too: those that interrupt a process would prove nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example may take is no property of the code: the machine may be busy with virtual machines.
hypothesis.settings.register_profile("hardener", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("hardener")


@pytest.fixture(scope="session", autouse=True)
def _history_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test writes into the history of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARDENER_HOME", str(tmp_path_factory.mktemp("history")))
        yield
