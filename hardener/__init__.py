"""hardener: harden Docker hosts, prove it, detect drift and roll back what fails."""

from hardener import content

__version__ = "0.2.0"

content.make_importable()
