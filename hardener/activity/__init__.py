"""Read and check the answers of hosts about denials and events of their engines.

The hosts listen, by ``roles/activity``; ``docs/activity.md`` says what can be seen there, and what cannot.
"""

from hardener.activity.record import Entry, HostActivity, Window, read

__all__ = ["Entry", "HostActivity", "Window", "read"]
