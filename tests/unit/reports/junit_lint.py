"""What readers of JUnit need and no schema says: rules of Jenkins, GitLab, Azure and the GitHub actions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

_GITLAB_BYTES = 30 * 1000 * 1000
_GITLAB_CASES = 500_000
_KINDS = ("failure", "error", "skipped")


def lint(path: Path) -> list[str]:
    """Everything that some reader would drop, refuse or misread."""
    root = etree.parse(path).getroot()
    suites = root.findall("testsuite")
    cases = root.findall("testsuite/testcase")
    problems = [problem for suite in suites for problem in _suite(suite)]
    problems += [problem for case in cases for problem in _case(case)]
    for key, count in Counter((case.get("classname"), case.get("name")) for case in cases).items():
        if count > 1:
            problems.append(f"{key}: {count} cases; GitLab keeps the first alone")
    for key, count in Counter((suite.get("name"), suite.get("id")) for suite in suites).items():
        if count > 1:
            problems.append(f"{key}: {count} suites; Jenkins takes the second for a repetition")
    if path.stat().st_size > _GITLAB_BYTES or len(cases) > _GITLAB_CASES:
        problems.append("too large for GitLab")
    return problems


def _suite(suite: etree._Element) -> Iterator[str]:
    name = suite.get("name")
    cases = suite.findall("testcase")
    if not cases:
        yield f"{name}: no case; Jenkins drops the suite"
    present = {"tests": len(cases)}
    present |= {
        f"{kind}s".replace("skippeds", "skipped"): sum(1 for case in cases if case.find(kind) is not None)
        for kind in _KINDS
    }
    for attribute, count in present.items():
        if suite.get(attribute) != str(count):
            yield f"{name}: {attribute}={suite.get(attribute)}, there are {count}; readers trust it"
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp", "")):
        yield f"{name}: timestamp {suite.get('timestamp')} is not understood by all"
    if not suite.get("hostname"):
        yield f"{name}: Azure finds no computer name"


def _case(case: etree._Element) -> Iterator[str]:
    name = f"{case.get('classname')} {case.get('name')}"
    if not re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", case.get("classname", ""), re.ASCII):
        yield f"{name}: classname is not benchmark.host.section; Jenkins splits at dots"
    if not re.fullmatch(r"\d*(\.\d{1,3})?", case.get("time", "0")):
        yield f"{name}: time {case.get('time')} has more than three decimals"
    results = [result for kind in _KINDS for result in case.findall(kind)]
    if len(results) > 1:
        yield f"{name}: {len(results)} results; Jenkins reads the first"
    for result in results:
        if not result.get("message", "").strip():
            yield f"{name}: no message; Azure and the GitHub actions show nothing"
        if not (result.text or "").strip():
            yield f"{name}: no text; GitLab shows nothing"
        if not result.get("type"):
            yield f"{name}: no type"
    output = case.findtext("system-out") or ""
    if re.search(r"\[\[(ATTACHMENT|PROPERTY)\|", output):
        yield f"{name}: a stranger's text attaches files"
    texts = [*case.itertext(), *(value for each in case.iter() for value in each.attrib.values())]
    for text in map(str, texts):
        if not text.replace("\n", "").isprintable():
            yield f"{name}: hidden characters in {text!r}"
