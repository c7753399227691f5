"""Verify the images of a fleet by the site's policy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hardener.decisions.files import default_path
from hardener.errors import ExitCode, HardenerError
from hardener.files import write_text
from hardener.fleet import Fleet, requests
from hardener.text import line
from hardener.trust import NAME, read_policy
from hardener.workflows import exit_codes
from hardener.workflows.listener import Listener

_SCHEMA = "hardener/images/1"


@dataclass(frozen=True, slots=True)
class ImagesResult:
    """The results of each host that answered."""

    images: Mapping[str, Any]
    exit_code: ExitCode


def load_policy(named: Path | None, inventory: str, listener: Listener) -> Mapping[str, Any]:
    """Read the policy file that is given, or the one next to the inventory.

    Raises:
        HardenerError: there is no such file, or it has an error.
    """
    path = named or default_path(inventory, NAME)
    if path is None:
        raise HardenerError(
            f"there is no policy: no --policy, and no {NAME} beside the inventory",
            hint="docs/trust.md shows one",
        )
    if named is None:
        listener.file_found("policy", path)
    return read_policy(path, today=datetime.now(UTC).date())


def verify_images(
    fleet: Fleet, policy: Mapping[str, Any], listener: Listener, *, json_file: Path | None
) -> ImagesResult:
    """Have every host verify its images.

    Args:
        fleet: the hosts.
        policy: the allowed registries and signers.
        listener: receives the progress.
        json_file: the file for the results; None writes nothing.
    """
    found: dict[str, Mapping[str, Any]] = {}
    with (
        requests.verify_images(fleet, policy) as answers,
        listener.phase("verify images") as phase,
    ):
        for answer in answers.each(phase):
            found[answer.host] = answer.data
    failures = {host: outcome.reason for host, outcome in answers.outcomes.items() if host not in found}
    if json_file:
        write_text(json_file, _dump(found, failures))
    code = exit_codes.of_images(
        (image for data in found.values() for image in data["images"]), all_hosts=not failures
    )
    return ImagesResult({host: data["images"] for host, data in found.items()}, code)


def _dump(found: Mapping[str, Mapping[str, Any]], failures: Mapping[str, str]) -> str:
    entries = [
        {"host": host, **{key: data[key] for key in ("verified_at", "elapsed_ms", "images")}}
        for host, data in found.items()
    ]
    entries += [{"host": host, "error": line(reason)} for host, reason in failures.items()]
    return json.dumps({"schema": _SCHEMA, "hosts": entries}, indent=2) + "\n"
