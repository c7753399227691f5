"""Section 2: how the daemon is configured."""

from __future__ import annotations
