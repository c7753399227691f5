"""JSON as reports write it: pure ASCII, so that it is inert in a terminal, and the same bytes every time."""

from __future__ import annotations

import json
from typing import Any

from hardener.model import Control


def spaced(value: Any) -> str:
    """JSON with a blank after each comma and colon, as a person reads it."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False)


def compact(value: Any) -> str:
    """JSON without a blank, for large files and logs."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def mappings(control: Control) -> list[dict[str, Any]]:
    """The requirements that a control serves, a framework each, and who says so."""
    return [
        {
            "framework": mapping.framework,
            "requirements": list(mapping.requirements),
            "source": mapping.source,
        }
        for mapping in control.mappings
    ]
