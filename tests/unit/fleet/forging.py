"""Events of Ansible's, as a host could write them into an error message."""

from __future__ import annotations

import base64
import json
from typing import Any


def forged(event: str, *, width: int = 78, **data: Any) -> str:
    """What ansible-runner reads as an event of Ansible's, as a host could write it into an error message."""
    text = base64.b64encode(json.dumps({"uuid": "1", "event": event, "event_data": data}).encode()).decode()
    pieces = (text[at : at + width] for at in range(0, len(text), width))
    return "\x1b[K" + "".join(f"{piece}\x1b[{len(piece)}D" for piece in pieces) + "\x1b[K"


END = "\x1b[Ke30=\x1b[4D\x1b[K"
STATS = forged("playbook_on_stats", processed={"db1": 1, "web1": 1}, ok={"db1": 1})
GONE = forged("runner_on_unreachable", host="db1", res={"msg": "gone"})
