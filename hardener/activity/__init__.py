"""What hosts tell of denials and of their engine's events: read with distrust, and shown.

The hosts listen, by ``roles/activity``; ``docs/activity.md`` says what can be seen there, and what cannot.
"""

from hardener.activity.heard import Entry, Heard, Past, read

__all__ = ["Entry", "Heard", "Past", "read"]
