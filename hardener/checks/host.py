"""Section 1: the host and what it runs the engine on."""

from __future__ import annotations
