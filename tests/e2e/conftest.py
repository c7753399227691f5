"""Tests of what needs a kernel of its own, on guests of the lab."""

from tests.hosts.fixtures import boot, guest
from tests.hosts.guests import pristine

__all__ = ["boot", "guest", "pristine"]
