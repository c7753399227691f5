"""The product's promise: what `make test` proves of it end to end."""

from tests.hosts.fixtures import guest
from tests.hosts.guests import pristine

__all__ = ["guest", "pristine"]
