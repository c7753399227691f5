"""Notify users of drift or of a failed run, by a command or a webhook.

    deliver(targets, message(event), warn=print)

Both get the same JSON (``notification.schema.json``). A failed delivery costs a warning and some seconds,
never the run.
"""

from hardener.notify.message import Event, Target, deliver, message
from hardener.notify.targets import Command, Webhook

__all__ = ["Command", "Event", "Target", "Webhook", "deliver", "message"]
