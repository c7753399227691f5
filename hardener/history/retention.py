"""The retention of runs: ``retention.yml`` in the folder of the history, if a user has written one.

    keep_runs: 500     # the newest runs
    keep_days: 400     # and only those of this number of days

These are the defaults: a run each day for more than a year, so that an auditor finds a whole year. The
baseline and the newest run always stay; so does the run with which drift of an inventory is compared, as long
as a run of the inventory is kept.
"""

from __future__ import annotations

from pathlib import Path

from hardener.errors import HardenerError
from hardener.text import line

KEEP_RUNS = 500
KEEP_DAYS = 400.0
_MOST = 1_000_000


def load(path: Path) -> tuple[int, float]:
    """Return the number of runs and the number of days that are kept.

    Raises:
        HardenerError: the file cannot be read or has an error.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return KEEP_RUNS, KEEP_DAYS
    except OSError as error:
        raise HardenerError(f"cannot read {path}: {error.strerror}") from error
    return _parse(path, text)


def _parse(path: Path, text: bytes) -> tuple[int, float]:
    # Imported here: usually there is no such file.
    from pydantic import BaseModel, ConfigDict, Field, ValidationError  # noqa: PLC0415

    from hardener.decisions.document import parse  # noqa: PLC0415

    class Retention(BaseModel):
        model_config = ConfigDict(extra="forbid")
        keep_runs: int = Field(KEEP_RUNS, ge=1, le=_MOST)
        keep_days: float = Field(KEEP_DAYS, gt=0, le=_MOST)

    try:
        said = Retention.model_validate(parse(text, path).content or {})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise HardenerError(
            f"{path}: {line(key)}: {line(first['msg'])}",
            hint="the keys of this file are keep_runs and keep_days",
        ) from error
    return said.keep_runs, said.keep_days
