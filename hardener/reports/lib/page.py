"""Shared parts of HTML pages: templates, style, script, content security policy, and findings.

Untrusted text is escaped by Jinja, or is JSON that the script inserts as text nodes: by the policy's trusted
types the browser itself refuses to parse text as HTML.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from hardener.catalogue.words import IMPACTS
from hardener.decisions.remarks import remarks
from hardener.model import Control, Finding, Status
from hardener.reports.lib.serial import compact
from hardener.reports.lib.statuses import ORDER, WORDS
from hardener.text import line

PAGE = Path(__file__).parents[1] / "page"
_SCRIPTS = ("model.js", "elements.js", "csv.js", "main.js")
CODES = dict(zip(ORDER, "pfemwn", strict=True))
_OFFENDERS_SHOWN = 50
_EVIDENCE_SHOWN = 20


def control_record(control: Control, section: int, benchmark: str) -> dict[str, Any]:
    """Return the record of a control, as ``model.js`` reads it."""
    place, role = control.benchmarks.get(benchmark), control.remediation
    return {
        "slug": control.slug,
        "id": control.id_in(benchmark),
        "section": section,
        "level": place.level if place else 0,
        "title": control.title,
        "failing": control.failing,
        "severity": control.severity.value,
        "rationale": control.rationale,
        "decision": control.decision,
        "fix": control.fix,
        "role": [role.role, role.variable, IMPACTS[role.impact]] if role else None,
        "mappings": [[each.framework, each.source, each.requirements] for each in control.mappings],
    }


def verdict_record(finding: Finding) -> list[Any]:
    """Return the record of a verdict, as ``model.js`` reads it."""
    verdict, said = finding.verdict, remarks(finding)
    return [
        line(verdict.expected, 1000),
        line(verdict.actual, 1000),
        [
            [line(each.kind), line(each.name), line(each.detail)]
            for each in verdict.offenders[:_OFFENDERS_SHOWN]
        ],
        [*said, *(line(each, 1000) for each in verdict.evidence[:_EVIDENCE_SHOWN])],
        verdict.checked,
        len(verdict.offenders),
        len(said) + len(verdict.evidence),
    ]


def result_record(status: Status, verdict: Sequence[Any], hosts: Sequence[str]) -> dict[str, Any]:
    """Return a result as templates show it.

    Args:
        status: its status.
        verdict: see ``verdict_record``.
        hosts: the hosts that have it; empty on the page of one host.
    """
    expected, actual, offenders, facts, checked, offending, all_facts = verdict
    return {
        "status": status.value,
        "word": WORDS[status],
        "hosts": hosts,
        "expected": expected,
        "actual": actual,
        "offenders": offenders,
        "facts": facts,
        "share": f" ({offending} of {checked})" if checked else "",
        "more_offenders": offending - len(offenders),
        "more_facts": all_facts - len(facts),
    }


def data(value: Any) -> str:
    """Return JSON for a script element: nothing in it can end the element or begin a comment."""
    return compact(value).replace("<", "\\u003c")


@cache
def environment(*folders: Path) -> Environment:
    """Return the environment that renders templates of pages, from these folders first."""
    made = Environment(
        loader=FileSystemLoader([*folders, PAGE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(paragraphs=_paragraphs, line=line)
    return made


@cache
def style() -> str:
    """Return the style sheet."""
    return (PAGE / "page.css").read_text(encoding="utf-8")


@cache
def script() -> str:
    """Return the page's script: several files joined into one text, so that the CSP names one digest."""
    return "".join((PAGE / name).read_text(encoding="utf-8") for name in _SCRIPTS)


def script_of(name: str) -> str:
    """Return the script of a file that is not part of the joined script."""
    return (PAGE / name).read_text(encoding="utf-8")


def policy(style: str, script: str = "", image: str = "data:") -> str:
    """Return a page's content security policy: only these sources of style, scripts and images."""
    trusted = (f"script-src {script}", "require-trusted-types-for 'script'", "trusted-types 'none'")
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {style}",
            f"img-src {image}",
            "base-uri 'none'",
            "form-action 'none'",
            *(trusted if script else ()),
        )
    )


def digest(text: str) -> str:
    """Return the source in a policy that permits this style or script within the page."""
    found = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(found).decode()}'"


def _paragraphs(text: str) -> Markup:
    """Return a text of the catalogue: paragraphs, code between backticks, indented paragraphs as blocks."""
    blocks = (
        Markup('<pre tabindex="0">{}</pre>').format(dedent(part))
        if all(each.startswith("    ") for each in part.split("\n"))
        else Markup("<p>{}</p>").format(_code(part))
        for part in re.split(r"\n{2,}", text.strip("\n"))
    )
    return Markup("").join(blocks)


def _code(text: str) -> Markup:
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 and place + 1 < len(parts) else part
        for place, part in enumerate(parts)
    )
