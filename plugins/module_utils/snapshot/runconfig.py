"""Redact what a container or an image runs: environment, command, labels."""

from __future__ import annotations

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

    from ..host.redact import Redactor


def redact_config(config: dict[str, Any], redactor: Redactor, where: str) -> None:
    """Redact the ``Config`` of a container or an image, in place."""
    if config.get("Env"):
        config["Env"] = redactor.assignments(config["Env"], where)
    if config.get("Cmd"):
        config["Cmd"] = redactor.words(config["Cmd"], f"{where} Cmd", config.get("Entrypoint"))
    for key in ("Entrypoint", "Shell"):
        if config.get(key):
            config[key] = redactor.words(config[key], f"{where} {key}")
    if config.get("OnBuild"):
        from . import history

        config["OnBuild"] = [
            history.instruction(str(line), frozenset(), frozenset(), redactor, f"{where} OnBuild")
            for line in config["OnBuild"]
        ]
    if config.get("Labels"):
        config["Labels"] = redactor.options(config["Labels"], f"{where} label")
    healthcheck = config.get("Healthcheck") or {}
    if healthcheck.get("Test"):
        healthcheck["Test"] = redactor.words(healthcheck["Test"], f"{where} healthcheck")
