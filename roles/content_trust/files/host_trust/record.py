"""What was found, as a file that the next audit reads: whole or not at all, for root alone."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any, Mapping

from host_trust.words import Failed

PATH = "/var/lib/hardener/trust/record.json"


def write(record: Mapping[str, Any], path: str = PATH) -> None:
    """Write the record in place of the one before.

    Raises:
        Failed: it cannot be written; the one before stays.
    """
    folder = os.path.dirname(path)
    partial = ""
    try:
        os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(dir=folder, prefix=".record-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(record, file, separators=(",", ":"))
            file.flush()
            os.fsync(file.fileno())
        os.rename(partial, path)
    except OSError as error:
        if partial and os.path.exists(partial):
            os.unlink(partial)
        raise Failed(f"cannot write {path}: {error.strerror}") from None
