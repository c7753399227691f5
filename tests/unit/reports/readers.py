"""Read reports again, with other people's code where there is some, and assert that they are valid."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise, takewhile
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jsonschema_rs
from junitparser import JUnitXml
from lxml import etree
from markdown_it import MarkdownIt
from markdown_it.token import Token
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

import hardener
from tests.unit.reports.junit_lint import lint
from tests.unit.reports.schemas import Validate, validator, validators

# Our own schema, and the one of Jenkins' xUnit plugin where the environment says where it is.
_JUNIT_SCHEMAS = [
    Path(__file__).parents[2] / "fixtures/junit-subset.xsd",
    *(Path(path) for path in [os.environ.get("HARDENER_JUNIT_XSD")] if path),
]
_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


# --- CSV -------------------------------------------------------------------------------------------------


def read_csv(path: Path, delimiter: str = ",") -> list[list[str]]:
    """The rows, the header first."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file, delimiter=delimiter, strict=delimiter == ","))


def read_records(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV, with the header's names."""
    header, *rows = read_csv(path)
    return [dict(zip(header, row, strict=True)) for row in rows]


# --- HTML ------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a browser would find: every element with its attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem in self.raw:
            self.raw[self.cdata_elem].append(data)

    @property
    def records(self) -> Any:
        """What the page's script reads, one record a host."""
        return json.loads(self.raw["script"][0])


def read_html(path: Path) -> Page:
    """The page."""
    return Page(path.read_text(encoding="utf-8"))


# --- JSON ------------------------------------------------------------------------------------------------

NATIVE_SCHEMA = json.loads((Path(hardener.__file__).parent / "assessment.schema.json").read_text())
NATIVE = jsonschema_rs.validator_for(NATIVE_SCHEMA)


def read_native(path: Path) -> Any:
    """The document."""
    return _native(json.loads(path.read_text(encoding="ascii")))


def read_lines(path: Path) -> Any:
    """The same document, of which each host is a line."""
    first, *middle, last = map(json.loads, path.read_text(encoding="ascii").splitlines())
    return _native(first | {"hosts": [each["host"] for each in middle]} | last)


def _native(document: Any) -> Any:
    assert [str(error) for error in NATIVE.iter_errors(document)] == []
    assert document["summary"]["hosts"] == len(document["hosts"])
    return document


# --- JUnit -----------------------------------------------------------------------------------------------


def read_junit(path: Path) -> JUnitXml:
    """The suites; to every reader's liking."""
    for name, schema in _junit_schemas().items():
        assert schema.validate(etree.parse(path)), f"{name}: {schema.error_log}"
    assert lint(path) == []
    return JUnitXml.fromfile(str(path))


@cache
def _junit_schemas() -> dict[str, etree.XMLSchema]:
    return {path.name: etree.XMLSchema(etree.parse(path)) for path in _JUNIT_SCHEMAS}


# --- Markdown --------------------------------------------------------------------------------------------


def read_markdown(path: Path) -> list[Token]:
    """The tokens, those within lines too."""
    return list(markdown_tokens(path.read_text(encoding="utf-8")))


def markdown_tokens(text: str) -> Iterator[Token]:
    """The tokens of a text."""
    for each in _MARKDOWN.parse(text):
        yield each
        yield from each.children or ()


# --- OCSF ------------------------------------------------------------------------------------------------


@cache
def published_ocsf() -> Validate:
    """The published schema of a compliance finding."""
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.5.0"))
    return validator(schema.get_class_schema("compliance_finding"))


def read_ocsf(path: Path) -> list[dict[str, Any]]:
    """The events."""
    events = [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]
    for event in events:
        _validate([*_schemas("ocsf.json"), published_ocsf()], event)
    return events


# --- OSCAL -----------------------------------------------------------------------------------------------


def read_oscal(path: Path) -> Any:
    """The one result; every reference in it leads somewhere."""
    document = json.loads(path.read_text(encoding="ascii"))
    _validate(_schemas("oscal.json", "oscal_assessment-results_schema-1.2.1.json"), document)
    whole = document["assessment-results"]
    (result,) = whole["results"]
    defined = [
        each["uuid"] for kind in ("observations", "findings", "risks") for each in result.get(kind, [])
    ]
    hosts = [each["uuid"] for each in result.get("local-definitions", {}).get("inventory-items", [])]
    assert len({*defined, *hosts}) == len(defined) + len(hosts)
    for finding in result.get("findings", []):
        used = [each["observation-uuid"] for each in finding["related-observations"]]
        used += [each["risk-uuid"] for each in finding.get("related-risks", [])]
        assert set(used) <= set(defined)
    for each in result.get("observations", []):
        assert {subject["subject-uuid"] for subject in each["subjects"]} <= set(hosts)
    assert whole["import-ap"]["href"] == f"#{whole['back-matter']['resources'][0]['uuid']}"
    return result


# --- SARIF -----------------------------------------------------------------------------------------------


def read_sarif(path: Path) -> Any:
    """The one run; every result has its rule."""
    document = json.loads(path.read_text(encoding="ascii"))
    _validate(_schemas("sarif.json", "sarif-schema-2.1.0.json"), document)
    (only,) = document["runs"]
    rules = [rule["id"] for rule in only["tool"]["driver"]["rules"]]
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in only["results"])
    return only


# --- all formats -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads a format.

    ``entries``: what a document says of hosts, without a word that a host can choose. ``results``: how many
    results each host has; under an empty name how many all have, where hosts are not told apart.
    """

    read: Callable[[Path], Any]
    entries: Callable[[Any], Sequence[object]]
    results: Callable[[Any], Mapping[str, int]]


def _native_entries(document: Any) -> list[object]:
    return [(each["slug"], each["status"]) for host in document["hosts"] for each in host["findings"]]


def _markdown_entries(tokens: list[Token]) -> list[list[str]]:
    """The rows of the first table: a section and its counts."""
    cells = [after.content for one, after in pairwise(tokens) if one.type == "td_open"]
    rows = (cells[start : start + 7] for start in range(0, len(cells), 7))
    return list(takewhile(lambda row: row[0] != "**total**", rows))


def _junit_results(xml: JUnitXml) -> dict[str, int]:
    """Each host has a case that says whether it could be reached, and that is no control."""
    names = {suite.name: [case.name for case in suite] for suite in xml}
    assert all(found.count("connectivity") == 1 for found in names.values())
    return {host: len(found) - 1 for host, found in names.items()}


def _oscal_results(result: Any) -> Counter[str]:
    hosts = {
        each["uuid"]: next(found["value"] for found in each["props"] if found["name"] == "host-name")
        for each in result["local-definitions"]["inventory-items"]
    }
    return Counter(hosts[each["subjects"][0]["subject-uuid"]] for each in result["observations"])


def _native_results(document: Any) -> dict[str, int]:
    return {host["host"]: len(host["findings"]) for host in document["hosts"]}


def _markdown_results(tokens: list[Token]) -> dict[str, int]:
    return {"": sum(int(cell) for row in _markdown_entries(tokens) for cell in row[1:])}


READERS = MappingProxyType(
    {
        "csv": Reader(
            read_records,
            lambda rows: [(row["slug"], row["status"]) for row in rows],
            lambda rows: Counter(row["host"] for row in rows),
        ),
        "html": Reader(
            read_html,
            lambda page: [len(record) for record in page.records],
            lambda page: {record[0]: len(record[4].replace("-", "")) for record in page.records},
        ),
        "json": Reader(read_native, _native_entries, _native_results),
        "junit": Reader(
            read_junit,
            lambda xml: [(suite.tests, suite.failures, suite.errors, suite.skipped) for suite in xml],
            _junit_results,
        ),
        "markdown": Reader(read_markdown, _markdown_entries, _markdown_results),
        "ndjson": Reader(read_lines, _native_entries, _native_results),
        "ocsf": Reader(
            read_ocsf,
            lambda events: [each["metadata"]["event_code"] for each in events],
            lambda events: Counter(each["device"]["name"] for each in events),
        ),
        "oscal": Reader(
            read_oscal,
            lambda result: [
                (kind, len(result[kind])) for kind in ("observations", "findings", "risks") if kind in result
            ],
            _oscal_results,
        ),
        "sarif": Reader(
            read_sarif,
            lambda only: [each["ruleId"] for each in only["results"]],
            lambda only: Counter(
                each["locations"][0]["logicalLocations"][0]["name"] for each in only["results"]
            ),
        ),
    }
)


@cache
def _schemas(own: str, published: str = "") -> tuple[Validate, ...]:
    return tuple(validators(own, published).values())


def _validate(schemas: Iterable[Validate], document: Any) -> None:
    for validate in schemas:
        validate(document)
