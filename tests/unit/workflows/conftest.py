"""Workflows are tested through the command line, on its fleet that answers from memory."""

from __future__ import annotations

from tests.unit.cli.fixtures import fleet, hardener, home

__all__ = ["fleet", "hardener", "home"]
