"""State from which commit and dependencies the files of a release were built (in-toto statement, SLSA 1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from hardener import __version__
from tools.tracked import git

NAME = "provenance.intoto.json"
_BUILD = "urn:hardener:make-package"  # how it is built: `make package` of the commit


def statement(files: Iterable[Path], source: Path, locked: Path) -> str:
    """Return the statement about built files, as JSON.

    Args:
        files: the files.
        source: the work tree of git that they were built from.
        locked: the file of locked versions in it.
    """
    predicate = {
        "buildDefinition": {
            "buildType": _BUILD,
            "externalParameters": {"version": __version__},
            "resolvedDependencies": [
                {"name": "source", "digest": {"gitCommit": git(source, "rev-parse", "HEAD").strip()}},
                {"name": locked.name, "digest": {"sha256": _digest(locked)}},
            ],
        },
        "runDetails": {"builder": {"id": "urn:hardener:maintainer"}},
    }
    document = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": path.name, "digest": {"sha256": _digest(path)}} for path in files],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": predicate,
    }
    return json.dumps(document, indent=1) + "\n"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
