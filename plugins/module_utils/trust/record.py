"""Write the findings to a file for the next audit: atomically, for root alone."""

from __future__ import annotations

import json
import os
from typing import Any, Mapping

from ..host import atomic, descriptors
from ..host.errors import Failed
from ..host.layout import TRUST_RECORD


def write(record: Mapping[str, Any], path: str = TRUST_RECORD) -> None:
    """Replace the record.

    Raises:
        Failed: it cannot be written; the one before stays.
    """
    try:
        atomic.make_folders(os.path.dirname(path), 0o700)
        atomic.write(path, json.dumps(record, separators=(",", ":")).encode())
    except OSError as error:
        raise Failed(f"cannot write {descriptors.described(error, path)}") from None
