"""hardener: harden Docker hosts, prove it, keep it so, and never break them."""

__version__ = "0.1.0"
