from __future__ import annotations

import signal
import subprocess
import sys

import pytest

INTERRUPTED_WHILE_IT_LOADS = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "hardener.cli":
            os.kill(os.getpid(), signal.SIGINT)

from hardener.__main__ import main
sys.meta_path.insert(0, Interrupt())
main()
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def test_an_interrupt_during_imports_ends_silently() -> None:
    ended = run("-c", INTERRUPTED_WHILE_IT_LOADS)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("handler", ["default_int_handler", "SIG_IGN"])
def test_after_the_imports_interrupts_are_handled_normally(handler: str) -> None:
    script = f"""
import signal
signal.signal(signal.SIGINT, signal.{handler})
from hardener.__main__ import main
try:
    main()
finally:
    assert signal.getsignal(signal.SIGINT) is signal.{handler}, "SIGINT was lost"
"""
    ended = run("-c", script)
    assert (ended.returncode, ended.stderr[:5]) == (2, "Usage")
    assert "SIGINT was lost" not in ended.stderr
