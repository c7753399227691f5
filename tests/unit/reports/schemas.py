"""Validate JSON reports: by our own schemas of what we write, and by the published ones where they are.

Published schemas are not ours to ship. OCSF's comes with a package; the others a developer puts into a folder
and names it in HARDENER_SCHEMAS.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs

OWN = Path(__file__).parents[2] / "fixtures" / "schemas"

Validate = Callable[[Any], None]


def validators(own: str, published: str = "") -> dict[str, Validate]:
    """Every schema there is for a format, by the name of its file."""
    folder = os.environ.get("HARDENER_SCHEMAS")
    files = [OWN / own, *([Path(folder) / published] if folder and published else [])]
    return {path.name: validator(json.loads(path.read_text(encoding="utf-8"))) for path in files}


def validator(schema: Any) -> Validate:
    """What asserts that a document follows a schema, and says where it does not."""
    compiled = jsonschema_rs.validator_for(schema, validate_formats=True)

    def validate(document: Any) -> None:
        errors = [
            f"{'/'.join(map(str, error.instance_path))}: {error}" for error in compiled.iter_errors(document)
        ]
        assert errors == []

    return validate
