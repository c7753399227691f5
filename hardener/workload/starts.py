"""The default and the limits of the number of starts in a proof.

A proof needs several starts, because the calls of a container's runtime vary from start to start.
"""

from __future__ import annotations

STARTS = 20  # where no other number is asked for
LEAST_STARTS = 3  # the first one, one with what that has left, and one after a crash
MOST_STARTS = 1000
