"""Every Debian release of the lab: its guests, and hardening a fresh one."""

from tests.hosts.fixtures import boot, guest
from tests.hosts.guests import pristine

__all__ = ["boot", "guest", "pristine"]
