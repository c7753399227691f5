"""Write a plan as JSON for review, and read it again to apply exactly that plan.

One object: ``schema``, ``tool_version``, ``benchmark``, ``created``, ``accept_losses``, and in ``hosts`` by
name ``digest``, ``allow``, ``controls`` (each with role, variable, impact, fate, reason and paths),
``wishes`` (the variables that the inventory sets, with the same fields and their state), ``changes`` (with
their diffs), ``activations``, ``notes`` and ``failure``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from hardener import __version__
from hardener.bounded import parse, read
from hardener.errors import HardenerError
from hardener.model import Finding, Impact
from hardener.plan import Decision, Fate, Outlook
from hardener.text import line, scalar, utc

SCHEMA = "hardener/plan/1"

_MOST_BYTES = 1 << 30  # enough for a thousand hosts with all diffs
_MOST_VALUES = 10_000_000
_DIGEST = re.compile("[0-9a-f]{64}")
_NAME = re.compile("[a-z][a-z0-9_]*")
NAME_OF_LOSS = re.compile(r"[\w.:/@\[\]-]{1,255}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reviewed:
    """The reviewed plan of one host: the variables to apply, by role, the allowed impact, and the digest.

    ``wishes`` are the documents among them that the inventory asks for.
    """

    variables: Mapping[str, Sequence[str]]
    allow: Impact
    digest: str
    wishes: frozenset[str] = frozenset()


def dump(
    outlooks: Sequence[Outlook], benchmark: str, *, created: datetime, accept_losses: Sequence[str] = ()
) -> str:
    """Return the plan of some hosts as JSON; the same plan always gives the same text.

    Args:
        outlooks: the outlook of each host.
        benchmark: the benchmark version of the ids of controls.
        created: the time of the plan.
        accept_losses: names of what may stop working.
    """
    plan = {
        "schema": SCHEMA,
        "tool_version": __version__,
        "benchmark": benchmark,
        "created": utc(created),
        **({"accept_losses": list(accept_losses)} if accept_losses else {}),
        "hosts": {scalar(outlook.host): _host(outlook, benchmark) for outlook in outlooks},
    }
    return json.dumps(plan, indent=1, ensure_ascii=True) + "\n"


class Plans(NamedTuple):
    """The content of a plan file by host: the reviewed plan, or the error in its entry; accepted losses."""

    reviewed: Mapping[str, Reviewed]
    damaged: Mapping[str, str]
    accept_losses: tuple[str, ...] = ()


def load(path: Path) -> Plans:
    """Read a plan that ``dump`` wrote. A damaged entry affects only its own host.

    Raises:
        HardenerError: it cannot be read, or is not a plan.
    """
    hint = "`hardener plan --json` writes it"
    try:
        raw = parse(read(path, most=_MOST_BYTES), most_values=_MOST_VALUES)
    except OSError as error:
        raise HardenerError(f"cannot read the plan {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise HardenerError(f"{path} is not JSON: {error}", hint=hint) from error
    if not isinstance(raw, dict) or raw.get("schema") != SCHEMA or not isinstance(raw.get("hosts"), dict):
        raise HardenerError(f"{path} is not a plan ({SCHEMA})", hint=hint)
    reviewed: dict[str, Reviewed] = {}
    damaged: dict[str, str] = {}
    for host, plan in raw["hosts"].items():
        try:
            if variables := _applied(plan):
                wishes = frozenset(str(each["variable"]) for each in plan.get("wishes", ()))
                digest = _word(plan["digest"], _DIGEST)
                reviewed[host] = Reviewed(variables, Impact(plan["allow"]), digest, wishes)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            damaged[host] = line(repr(error))
    try:
        accepted = tuple(_word(each, NAME_OF_LOSS) for each in raw.get("accept_losses", ()))
    except (TypeError, ValueError) as error:
        raise HardenerError(f"{path}: accept_losses: {error}", hint=hint) from error
    return Plans(reviewed, damaged, accepted)


def _applied(plan: Mapping[str, Any]) -> dict[str, list[str]]:
    variables: dict[str, list[str]] = {}
    for control in (*plan["controls"], *plan.get("wishes", ())):
        if control["fate"] == Fate.CHANGE:
            own = variables.setdefault(_word(control["role"], _NAME), [])
            variable = _word(control["variable"], _NAME)
            if variable not in own:
                own.append(variable)
    return variables


def _word(text: Any, pattern: re.Pattern[str]) -> str:
    """Require that a text matches a pattern, because Ansible would evaluate a template in it.

    Raises:
        ValueError: it does not match.
    """
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise ValueError(f"{line(str(text), 60)!r} does not match {pattern.pattern}")
    return text


def _host(outlook: Outlook, benchmark: str) -> dict[str, Any]:
    return {
        "digest": outlook.result.digest,
        "allow": outlook.result.allow,
        "failure": scalar(outlook.failure) or None,
        "controls": list(_controls(outlook, benchmark)),
        "wishes": [
            {
                "role": wish.role,
                "variable": wish.document,
                "set": [scalar(name) for name in wish.variables],
                "state": wish.state,
                "impact": wish.impact.value,
                "fate": wish.fate.value,
                "reason": scalar(wish.reason) or None,
                "paths": [scalar(path) for path in wish.paths],
            }
            for wish in outlook.wishes
        ],
        "changes": [
            {"path": scalar(change.path), "what": change.what, "diff": change.diff}
            for change in outlook.result.changes
        ],
        "activations": [
            {key: value for key, value in asdict(activation).items() if value is not None}
            for activation in outlook.result.activations
        ],
        "notes": [scalar(note) for note in (*outlook.left, *outlook.result.notes)],
    }


def _controls(outlook: Outlook, benchmark: str) -> Iterator[dict[str, Any]]:
    for decision in outlook.decisions:
        for finding in decision.step.findings:
            yield {**_control(finding, benchmark), **_decision(decision)}
    for each in outlook.plan.withheld:
        for finding in each.step.findings:
            yield {
                **_control(finding, benchmark),
                "role": each.step.role,
                "variable": each.step.variable,
                "impact": each.step.impact.value,
                "fate": "withheld",
                "reason": scalar(each.reason),
                "paths": [],
            }
    for finding in outlook.plan.beyond:
        yield {**_control(finding, benchmark), "fate": "no-role"}


def _control(finding: Finding, benchmark: str) -> dict[str, Any]:
    control = finding.control
    return {"control": control.slug, "id": control.id_in(benchmark), "title": control.title}


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "role": decision.step.role,
        "variable": decision.step.variable,
        "impact": decision.impact.value,
        "fate": decision.fate.value,
        "reason": scalar(decision.reason) or None,
        "paths": [scalar(path) for path in decision.paths],
    }
