"""A command line whose fleet answers from memory."""

from tests.unit.cli.fixtures import fleet, hardener, home

__all__ = ["fleet", "hardener", "home"]
