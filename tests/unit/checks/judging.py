"""The type of the fixture ``judge``, and which verdicts it has proven."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from hardener.model import Status, Verdict
from hardener.snapshot import Snapshot

Judge = Callable[[str, Snapshot], Verdict]

PROVEN: defaultdict[str, set[Status]] = defaultdict(set)
