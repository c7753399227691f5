"""The product's promise on real guests: what `make test` proves of it end to end."""

from tests.hosts.fixtures import boot, guest
from tests.hosts.guests import pristine

__all__ = ["boot", "guest", "pristine"]
