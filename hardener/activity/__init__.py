"""Read and check the answers of hosts about denials and events of their engines.

The hosts listen, by ``roles/activity``; ``docs/activity.md`` describes what can be observed there, and what
cannot.
"""

from hardener.activity.record import ActivityEntry, HostActivity, Window, read

__all__ = ["ActivityEntry", "HostActivity", "Window", "read"]
