"""Read VEX documents: statements on whether a vulnerability affects a product (OpenVEX 0.2, CycloneDX).

Statements of the author of a document are not verified. A statement is shown with the findings to which it
applies, and changes none of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from hardener.bounded import parse, read
from hardener.errors import HardenerError
from hardener.scan.record import Scan, Scanned
from hardener.text import line

_LARGEST = 64 << 20
_VALUES = 2_000_000
_STATEMENTS = 20_000
_PRODUCTS = 1000  # of one statement
_LONGEST = 500
_OPENVEX = "https://openvex.dev/ns/v0.2"
_CYCLONEDX = re.compile(r"1\.[4-9]")


class VexStatus(StrEnum):
    """The status of a vulnerability in a product, according to a statement."""

    NOT_AFFECTED = "not_affected"
    AFFECTED = "affected"
    FIXED = "fixed"
    UNDER_INVESTIGATION = "under_investigation"


_STATES = {
    "not_affected": VexStatus.NOT_AFFECTED,
    "false_positive": VexStatus.NOT_AFFECTED,
    "exploitable": VexStatus.AFFECTED,
    "resolved": VexStatus.FIXED,
    "resolved_with_pedigree": VexStatus.FIXED,
    "in_triage": VexStatus.UNDER_INVESTIGATION,
}
_JUSTIFICATIONS = frozenset(
    {
        "component_not_present",
        "vulnerable_code_not_present",
        "vulnerable_code_not_in_execute_path",
        "vulnerable_code_cannot_be_controlled_by_adversary",
        "inline_mitigations_already_exist",
    }
)


@dataclass(frozen=True, slots=True)
class Product:
    """A product of a statement: an image or a package, and its parts to which the statement applies.

    Attributes:
        names: all its names in the document: package URLs, other identifiers, digests.
        parts: the names of its parts; empty if the statement applies to the whole product.
    """

    names: tuple[str, ...]
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of a document.

    Attributes:
        vulnerability: its id, such as ``CVE-2026-1``.
        ids: this id and its aliases, in capitals.
        status: the status.
        why: the justification, as the document has it; empty without one.
        text: its explanation.
        products: its products; empty if the document names none.
        source: name of the file.
    """

    vulnerability: str
    ids: frozenset[str]
    status: VexStatus
    why: str
    text: str
    products: tuple[Product, ...]
    source: str

    def is_about(self, vulnerability: str, package: Package, image: Image | None) -> bool:
        """Return whether the statement is about a vulnerability of a package, on the host or in an image."""
        if vulnerability.upper() not in self.ids:
            return False
        return any(_fits(product, package, image) for product in self.products)


@dataclass(frozen=True, slots=True)
class Package:
    """A package in which a vulnerability was found: its names and its version."""

    names: frozenset[str]
    version: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image: its id, and one of its names."""

    id: str
    name: str


_ReadOne = Callable[[Mapping[str, Any], str], Statement | None]


def load(path: Path) -> tuple[Statement, ...]:
    """Load the statements of a document.

    Raises:
        HardenerError: it cannot be read, is not a VEX document, or has a malformed statement; the message
            names it.
    """
    try:
        raw = parse(read(path, most=_LARGEST), most_values=_VALUES)
        found = tuple(_statements(raw, line(path.name, 100)))
    except OSError as error:
        raise HardenerError(f"cannot read {line(str(path))}: {error.strerror}") from error
    except ValueError as error:  # UnicodeDecodeError and JSON errors too
        raise HardenerError(f"{line(str(path))} is not a VEX document: {line(str(error))}") from error
    if not found:
        raise HardenerError(f"{line(str(path))} has no VEX statement")
    return found


def _statements(raw: object, source: str) -> Iterator[Statement]:
    document = _table(raw, "the document")
    context = document.get("@context")
    if isinstance(context, str) and context.startswith("https://openvex.dev/ns"):
        if not context.startswith(_OPENVEX):
            raise ValueError(f"the version of OpenVEX is {context[:80]!r}; only OpenVEX 0.2 can be read")
        read_one: _ReadOne = _openvex
        entries = _rows(document, "statements")
    elif document.get("bomFormat") == "CycloneDX":
        version = document.get("specVersion")
        if not (isinstance(version, str) and _CYCLONEDX.fullmatch(version)):
            raise ValueError(f"specVersion is {str(version)[:40]!r}; only CycloneDX 1.4 to 1.9 can be read")
        read_one = partial(_cyclonedx, known=dict(_components(document)))
        entries = _rows(document, "vulnerabilities")
    else:
        raise ValueError("the document has neither @context of OpenVEX nor bomFormat of CycloneDX")
    if len(entries) > _STATEMENTS:
        raise ValueError(f"the document has more than {_STATEMENTS} statements")
    for number, entry in enumerate(entries, 1):
        try:
            statement = read_one(_table(entry, "the statement"), source)
        except ValueError as error:
            raise ValueError(f"statement {number}: {error}") from None
        if statement:
            yield statement


def _openvex(entry: Mapping[str, Any], source: str) -> Statement:
    named = _table(entry.get("vulnerability"), "vulnerability")
    name = _text(named, "name")
    try:
        status = VexStatus(_text(entry, "status"))
    except ValueError:
        known = ", ".join(VexStatus)
        raise ValueError(f"status is {str(entry.get('status'))[:40]!r}, none of {known}") from None
    why = _text(entry, "justification", needed=False)
    impact = _text(entry, "impact_statement", needed=False)
    if why and why not in _JUSTIFICATIONS:
        raise ValueError(f"justification is {why[:60]!r}, which OpenVEX does not have")
    if status is VexStatus.NOT_AFFECTED and not (why or impact):
        raise ValueError("not_affected needs a justification or an impact_statement")
    texts = (impact, *(_text(entry, key, needed=False) for key in ("action_statement", "status_notes")))
    products = []
    for each in _rows(entry, "products", needed=False):
        parts = (_names(part) for part in _rows(_table(each, "a product"), "subcomponents", needed=False))
        products.append(Product(_names(each), tuple(name for names in parts for name in names)))
    return Statement(
        vulnerability=name,
        ids=frozenset(each.upper() for each in (name, *_texts(named, "aliases"))),
        status=status,
        why=why,
        text=line("; ".join(filter(None, texts)), _LONGEST),
        products=tuple(products),
        source=source,
    )


def _names(raw: object) -> tuple[str, ...]:
    """Return all names of a product or a part in OpenVEX."""
    component = _table(raw, "a product")
    found = [_text(component, "@id", needed=False)]
    for key in ("identifiers", "hashes"):
        found += map(str, _table(component.get(key, {}), key).values())
    return tuple(line(each, _LONGEST) for each in found if each)


def _cyclonedx(
    entry: Mapping[str, Any], source: str, *, known: Mapping[str, tuple[str, ...]]
) -> Statement | None:
    """Return the statement of a vulnerability; None if it was not analysed."""
    name = _text(entry, "id")
    if "analysis" not in entry:
        return None
    analysis = _table(entry["analysis"], "analysis")
    state = _text(analysis, "state")
    if state not in _STATES:
        raise ValueError(f"analysis.state is {state[:40]!r}, none of {', '.join(_STATES)}")
    why = _text(analysis, "justification", needed=False)
    said = state if state not in tuple(VexStatus) and state not in ("exploitable", "in_triage") else ""
    affected = (_text(_table(each, "affects"), "ref") for each in _rows(entry, "affects", needed=False))
    references = (_table(each, "a reference") for each in _rows(entry, "references", needed=False))
    aliases = (_text(each, "id", needed=False) for each in references)
    response = ", ".join(_texts(analysis, "response"))
    return Statement(
        vulnerability=name,
        ids=frozenset(each.upper() for each in (name, *aliases) if each),
        status=_STATES[state],
        why=", ".join(filter(None, (said, why))),
        text=line("; ".join(filter(None, (response, _text(analysis, "detail", needed=False)))), _LONGEST),
        products=tuple(Product(known.get(ref) or _of_a_link(ref)) for ref in affected),
        source=source,
    )


def _components(document: Mapping[str, Any]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the components of a CycloneDX document with their references."""
    about = _table(document.get("metadata", {}), "metadata").get("component")
    left = [*_rows(document, "components", needed=False), *([about] if about else [])]
    while left:
        component = _table(left.pop(), "a component")
        left += _rows(component, "components", needed=False)
        ref = _text(component, "bom-ref", needed=False)
        names = [_text(component, key, needed=False) for key in ("purl", "cpe")]
        if not any(names):
            names = [_text(component, "name", needed=False)]
        hashes = (_table(each, "a hash") for each in _rows(component, "hashes", needed=False))
        names += [_text(each, "content", needed=False) for each in hashes]
        if ref:
            yield ref, tuple(filter(None, names))


def _of_a_link(ref: str) -> tuple[str, ...]:
    """Return the component of a reference to another document (``urn:cdx:…#ref``)."""
    return (unquote(ref.rpartition("#")[2]) if ref.startswith("urn:cdx:") else ref,)


# --- which findings a statement is about ------------------------------------------------------------------


def _fits(product: Product, package: Package, image: Image | None) -> bool:
    if image is not None and any(_is_image(name, image) for name in product.names):
        return not product.parts or any(_is_package(name, package) for name in product.parts)
    return not product.parts and any(_is_package(name, package) for name in product.names)


def _is_image(name: str, image: Image) -> bool:
    digest = image.id.removeprefix("sha256:")
    if name in (image.id, digest, image.name):
        return True
    purl = _purl(name)
    if purl is None or purl.kind not in ("oci", "docker"):
        return False
    if purl.version.removeprefix("sha256:") == digest:
        return True
    repository, tag = _repository(image.name)
    if purl.qualifiers.get("tag", tag) != tag:
        return False
    if purl.kind == "docker" and purl.version not in ("", tag) and not purl.version.startswith("sha256:"):
        return False
    wanted = purl.qualifiers.get("repository_url", "").removesuffix("/")
    if wanted:
        return repository in (wanted, f"{wanted}/{purl.path}")
    return repository.rpartition("/")[2] == purl.name


def _is_package(name: str, package: Package) -> bool:
    purl = _purl(name)
    if purl is None:
        return name in package.names
    if purl.kind in ("oci", "docker"):
        return False
    return purl.name in package.names and purl.version in ("", package.version)


@dataclass(frozen=True, slots=True)
class _Purl:
    kind: str
    path: str  # namespace and name
    version: str
    qualifiers: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def _purl(text: str) -> _Purl | None:
    """Parse a package URL; return None for other text."""
    if not text.startswith("pkg:"):
        return None
    rest, _, query = text[4:].partition("#")[0].partition("?")
    kind, _, path = rest.strip("/").partition("/")
    path, _, version = path.partition("@") if "@" in path else (path, "", "")
    given = {key: values[0] for key, values in parse_qs(query, max_num_fields=20).items()}
    return _Purl(kind.lower(), unquote(path), unquote(version), given)


def _repository(name: str) -> tuple[str, str]:
    """Return repository and tag of an image's name."""
    name = name.partition("@")[0]
    before, _, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return (f"{before}/{last}" if before else last), tag or "latest"


# --- values of a document ---------------------------------------------------------------------------------


def _table(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{what} is not an object")
    return value


def _rows(raw: Mapping[str, Any], key: str, *, needed: bool = True) -> Sequence[Any]:
    value = raw.get(key) if needed else raw.get(key, [])
    if not isinstance(value, list):
        raise ValueError(f"{key} is not a list")
    if len(value) > _PRODUCTS and key not in ("statements", "vulnerabilities", "components"):
        raise ValueError(f"{key} has more than {_PRODUCTS} entries")
    return value


def _texts(raw: Mapping[str, Any], key: str) -> Iterable[str]:
    return (line(str(each), _LONGEST) for each in _rows(raw, key, needed=False))


def _text(raw: Mapping[str, Any], key: str, *, needed: bool = True) -> str:
    value = raw.get(key) if needed else raw.get(key, "")
    if not isinstance(value, str) or (needed and not value):
        raise ValueError(f"{key} is not a string")
    return line(value, _LONGEST)


HOST = "the host"


@dataclass(frozen=True, slots=True)
class Match:
    """A statement, and the finding to which it applies.

    Attributes:
        object: ``the host``, or the id of an image.
        package: the package with the vulnerability.
        vulnerability: its id in the finding.
        statement: the statement.
    """

    object: str
    package: str
    vulnerability: str
    statement: Statement


class Statements:
    """The statements of all documents; records which of them applied to a finding."""

    def __init__(self, statements: Iterable[Statement]) -> None:
        self._all = tuple(statements)
        self._used: set[int] = set()
        self._by_id: dict[str, list[int]] = {}
        for number, statement in enumerate(self._all):
            for name in statement.ids:
                self._by_id.setdefault(name, []).append(number)

    def of(self, scan: Scan) -> tuple[Match, ...]:
        """Return the statements that apply to the findings of a host and of its images."""
        found: dict[tuple[str, str, str, int], Match] = {}
        for where, image, vulnerability, package, name in _findings(scan):
            for number in self._by_id.get(vulnerability.upper(), ()):
                statement = self._all[number]
                if statement.is_about(vulnerability, package, image):
                    self._used.add(number)
                    found[where, name, vulnerability, number] = Match(where, name, vulnerability, statement)
        return tuple(found.values())

    @property
    def unused(self) -> Sequence[Statement]:
        """Return the statements that have not applied to any finding so far."""
        return [each for number, each in enumerate(self._all) if number not in self._used]


def _findings(scan: Scan) -> Iterator[tuple[str, Image | None, str, Package, str]]:
    """Yield object, image, vulnerability, package and package name of each finding."""
    yield from ((HOST, None, *found) for found in _of_packages(scan.host))
    for identity, scanned in scan.images.items():
        image = Image(identity, scan.names.get(identity, ""))
        yield from ((identity, image, *found) for found in _of_packages(scanned))
    for identity, reports in scan.reports.items():
        image = Image(identity, scan.names.get(identity, ""))
        for report in reports:
            for each in report.findings:
                name, version = str(each.get("package", "")), str(each.get("installed", ""))
                package = Package(frozenset({name}), version)
                yield identity, image, str(each.get("id", "")), package, name


def _of_packages(scanned: Scanned) -> Iterator[tuple[str, Package, str]]:
    for each in scanned.packages:
        package = Package(frozenset({each.name, each.source}), each.installed)
        yield from ((cve, package, each.name) for cve in each.cves or ())
