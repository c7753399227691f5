"""The number of starts in a proof of a profile: a runtime's own calls vary from start to start."""

from __future__ import annotations

STARTS = 20  # where no other number is asked for
LEAST_STARTS = 3  # the first one, one with what that has left, and one after a crash
MOST_STARTS = 1000
