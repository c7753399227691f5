"""hardener: harden Docker hosts, prove it, keep it so, and never break them."""

from hardener import content

__version__ = "0.2.0"

content.make_importable()
