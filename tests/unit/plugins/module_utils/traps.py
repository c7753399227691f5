"""A folder of another user in which names lead elsewhere, at rest and exchanged in a loop."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed

from tests.unit.plugins.module_utils.host.trees import EVE, picture

ATTEMPTS = 1500
PATIENCE = 120  # seconds, for a machine that has other work
SWAP = """
import ctypes, itertools, os, sys, time
exchange = ctypes.CDLL(None).renameat2
ctypes.CDLL(None).prctl(29, 1, 0, 0, 0)  # PR_SET_TIMERSLACK: a sleep takes 50 µs more otherwise
pairs = [tuple(map(os.fsencode, pair.split(":"))) for pair in sys.argv[1:]]
print("swapping", flush=True)
for one, other in itertools.cycle(pairs):
    exchange(-100, one, -100, other, 2)
    time.sleep(0.00002)  # without that the kernel's lock on renames is all that is measured
"""


class Trap:
    """A folder of Eve's, in which names are now her own and now lead to files of root's outside."""

    def __init__(self, folder: Path) -> None:
        self.outside = folder / "outside"
        self.eve = folder / "eve"
        self._laid = 0
        (self.outside / "inner").mkdir(parents=True)
        for name in ("loader", "second", "inner/ca.crt", "inner/later"):
            (self.outside / name).write_text(f"root's {name}")
            (self.outside / name).chmod(0o755)
        self.set()
        self.before = self._seen()

    def set(self) -> None:
        """Lay everything out anew: aside, and then at once, since names may be swapped meanwhile.

        What was there before goes aside too, under a name that no earlier one has: a swap that is under way
        in it may keep it from being removed.
        """
        self._laid += 1
        fresh = self.eve.with_name("fresh")
        (fresh / "folder").mkdir(parents=True)
        for name in ("ca.crt", "hard", "folder/ca.crt"):
            (fresh / name).write_text("eve's")
        (fresh / "ca.crt.link").symlink_to(self.outside / "loader")
        (fresh / "folder.link").symlink_to(self.outside / "inner")
        for path in (fresh, *fresh.rglob("*")):
            os.lchown(path, EVE, EVE)
        os.link(self.outside / "second", fresh / "hard.link")
        old = self.eve.with_name(f"old{self._laid}")
        if self.eve.exists():
            self.eve.rename(old)
        fresh.rename(self.eve)
        shutil.rmtree(old, ignore_errors=True)

    def _seen(self) -> object:
        seen = picture(str(self.outside))
        return seen, {path: Path(path).read_text() for path in seen if Path(path).is_file()}

    @property
    def untouched(self) -> bool:
        """Whether all that is outside is what it was."""
        return self._seen() == self.before


@contextmanager
def swapping(trap: Trap) -> Iterator[None]:
    """Another process exchanges names in the trap meanwhile."""
    pairs = [f"{trap.eve}/{name}:{trap.eve}/{name}.link" for name in ("ca.crt", "folder", "hard")]
    with subprocess.Popen([sys.executable, "-c", SWAP, *pairs], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.kill()


def race(trap: Trap, attempt: Callable[[str], None], attempts: int = ATTEMPTS) -> Counter[str]:
    """Attempt something many times while names are swapped, and count how that ended.

    It goes on until both sides of the race were met: on a busy machine the other process may not run at all
    for a while, and nothing would be proven.
    """
    found: Counter[str] = Counter()
    deadline = time.monotonic() + PATIENCE
    few = attempts / 100

    def met() -> bool:
        return found["done"] > few and found.total() - found["done"] > few

    for number in itertools.count():
        if number >= attempts and (met() or time.monotonic() > deadline):
            break
        if number % 100 == 0:
            trap.set()
        name = ("ca.crt", "folder/ca.crt", "hard")[number % 3]
        try:
            attempt(f"{trap.eve}/{name}")
            found["done"] += 1
        except (Failed, Refused, OSError) as error:
            found[type(error).__name__] += 1
    assert trap.untouched
    assert met(), found
    return found
