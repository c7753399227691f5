"""What hosts tell of denials and of their engine's events: read with distrust, and shown.

The hosts listen, by ``roles/activity``; ``docs/activity.md`` says what can be seen there, and what cannot.
"""

from hardener.activity.record import Entry, HostActivity, Window, read

__all__ = ["Entry", "HostActivity", "Window", "read"]
