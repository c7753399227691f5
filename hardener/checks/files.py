"""Section 3: who may change the daemon's files."""

from __future__ import annotations
