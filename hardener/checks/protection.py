"""Our own controls: what CIS leaves to "harden the host"."""

from __future__ import annotations
