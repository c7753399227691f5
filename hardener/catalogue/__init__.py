"""All requirements on a host: every control of every benchmark version, described in our own words.

Controls are keyed by slug (``controls/<section>.yaml``). An entry is the one place of a control: its texts,
and its id, level and assessment in every benchmark version, because the same id means different things in
different versions. ``benchmarks/<name>.yaml`` holds title and sections of a version. Controls that CIS leaves
to "harden the host" are our own (``every`` in place of a version, sections in ``own.yaml``): they close every
benchmark.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.snapshot import sysctls

from hardener.errors import HardenerError
from hardener.model import BenchmarkRef, Control, FrameworkMapping, Impact, Remediation, Severity

DEFAULT_BENCHMARK = "cis-docker-1.8.0"
WISHES = "wishes"  # selects the wishes of all roles
_WITHOUT_CONTROLS = frozenset(
    {WISHES, "activity", "content_trust", "vulnerability_scan", "workload_profiles"}
)

_SETTINGS = "{kernel settings}"  # in a text: replaced by the settings
EVERY = "every"  # in place of a benchmark version: the control has the same place in all versions

_DATA = Path(__file__).resolve().parent


def benchmarks() -> tuple[str, ...]:
    """Return the names of the benchmark versions, oldest first."""
    return tuple(sorted(path.stem for path in (_DATA / "benchmarks").glob("*.yaml")))


@cache
def every_control() -> tuple[Control, ...]:
    """Return every control of every benchmark version, ordered by section."""
    return tuple(
        _control(slug, path.stem, entry)
        for path in sorted((_DATA / "controls").glob("*.yaml"))
        for slug, entry in _read(f"controls/{path.name}").items()
    )


@cache
def load(benchmark: str) -> tuple[Control, ...]:
    """Return the controls of a benchmark in the order of their ids, our own controls last.

    Raises:
        HardenerError: there is no such benchmark.
    """
    if benchmark not in benchmarks():
        raise HardenerError(f"unknown benchmark {benchmark!r}", hint=f"one of: {', '.join(benchmarks())}")
    return tuple(
        sorted(
            (control for control in every_control() if benchmark in control.benchmarks),
            key=lambda control: order(control.id_in(benchmark)),
        )
    )


def order(identifier: str) -> tuple[tuple[float, str], ...]:
    """Return the sort key of an id: by numbers, so that 1.1.2 precedes 1.1.10; our own (H.1) come last.

    The title of a section (``5 runtime``) has a key too.
    """
    words = identifier.replace(" ", ".").split(".")
    return tuple((int(word) if word.isdecimal() else math.inf, word) for word in words)


@cache
def sections(benchmark: str) -> Mapping[str, str]:
    """Return the titles of a benchmark's sections by number, with the sections of our own controls."""
    return MappingProxyType(_read(f"benchmarks/{benchmark}.yaml")["sections"] | _read("own.yaml")["sections"])


def find(text: str, benchmark: str) -> Control:
    """Return the control with this slug, or with this id in this benchmark.

    Raises:
        HardenerError: there is none; says what is near.
    """
    controls = load(benchmark)
    wanted = text.strip().casefold()
    for control in controls:
        if wanted in (control.slug, control.benchmarks[benchmark].id.casefold()):
            return control
    raise HardenerError(f"no control {text!r} in {benchmark}", hint=_hint(wanted, controls, benchmark))


def is_known(text: str) -> bool:
    """Return whether any control has this slug, or this id in some benchmark."""
    return text.strip().casefold() in _meanings()


@cache
def _meanings() -> Mapping[str, Mapping[str, Control]]:
    """Map each slug and each id, in lower case, to the controls with this name, indexed by slug."""
    found: dict[str, dict[str, Control]] = {}
    for control in every_control():
        for name in (control.slug, *(place.id.casefold() for place in control.benchmarks.values())):
            found.setdefault(name, {})[control.slug] = control
    return found


def find_anywhere(text: str) -> Control:
    """Return the control with this slug, or with this id if it is the same in every benchmark.

    Raises:
        HardenerError: there is none, or the id means different things.
    """
    wanted = text.strip().casefold()
    meant = _meanings().get(wanted, {})
    if len(meant) == 1:
        return next(iter(meant.values()))
    if meant:
        where = {
            slug: ", ".join(name for name, place in each.benchmarks.items() if place.id.casefold() == wanted)
            for slug, each in meant.items()
        }
        places = "; ".join(f"{slug} in {names}" for slug, names in where.items())
        raise HardenerError(
            f"{text} means different controls: {places}", hint="give the name, which is unambiguous"
        )
    raise HardenerError(
        f"there is no control {text!r}", hint=_hint(wanted, load(DEFAULT_BENCHMARK), DEFAULT_BENCHMARK)
    )


def select(
    controls: Sequence[Control], *, benchmark: str, level: int = 2, only: Sequence[str] = ()
) -> tuple[Control, ...]:
    """Return the controls up to a level that match a selector, in the order of the benchmark.

    Args:
        controls: where to select from.
        benchmark: whose ids and levels count.
        level: 1 for the level-1 controls alone, 2 for both levels.
        only: slugs, ids, beginnings of ids (``5`` and ``1.1`` select what lies below), sections (``runtime``)
            or roles (``firewall``); none selects everything, as do selectors of wishes alone.

    Raises:
        HardenerError: a selector names nothing, or nothing is left.
    """
    chosen: set[str] = set()
    only = [selector for selector in only if selects_controls(selector)]
    for selector in only:
        named = {control.slug for control in controls if matches(control, selector, benchmark)}
        if not named:
            raise HardenerError(
                f"no control matches {selector!r} in {benchmark}",
                hint=_hint(selector.strip().casefold(), controls, benchmark, sections=True),
            )
        chosen |= named
    all_named = [control for control in controls if not only or control.slug in chosen]
    selected = tuple(control for control in all_named if control.benchmarks[benchmark].level <= level)
    if all_named and not selected:
        raise HardenerError(f"all selected controls are above level {level}", hint="use --level 2")
    return selected


@cache
def digest() -> str:
    """Return the SHA-256 of the catalogue's files, which identifies the catalogue in reports."""
    total = hashlib.sha256()
    for path in sorted(_DATA.rglob("*.yaml")):
        content = path.read_bytes()
        total.update(f"{path.relative_to(_DATA).as_posix()} {len(content)}\n".encode())
        total.update(content)
    return total.hexdigest()


def matches(control: Control, selector: str, benchmark: str) -> bool:
    """Return whether a selector names a control: by slug, section, role, id or the beginning of an id."""
    wanted = selector.strip().casefold()
    place = control.benchmarks[benchmark].id.casefold()
    role = control.remediation.role if control.remediation else None
    return wanted in (control.slug, control.section, role, place) or place.startswith(f"{wanted}.")


@cache
def roles() -> frozenset[str]:
    """Return the roles that hosts with Docker can have, by which wishes are selected."""
    remediating = {each.remediation.role for each in every_control() if each.remediation}
    return frozenset(remediating) | _WITHOUT_CONTROLS - {WISHES}


def selects_controls(selector: str) -> bool:
    """Return whether a selector can name controls, and not only wishes."""
    return selector.strip().casefold() not in _WITHOUT_CONTROLS


def _hint(wanted: str, controls: Sequence[Control], benchmark: str, *, sections: bool = False) -> str:
    """Return a hint: the control in other versions, or similar names."""
    for control in every_control():
        if wanted in (control.slug, *(place.id.casefold() for place in control.benchmarks.values())):
            places = ", ".join(f"{place.id} in {name}" for name, place in control.benchmarks.items())
            return f"{control.slug} is {places}"
    names = [name for control in controls for name in (control.slug, control.benchmarks[benchmark].id)]
    if sections:
        names += sorted({control.section for control in controls})
    near = get_close_matches(wanted, names, n=3) or [name for name in names if wanted and wanted in name][:3]
    return f"did you mean {', '.join(near)}?" if near else "`hardener controls` lists them all"


def _places(entries: Mapping[str, Mapping[str, Any]]) -> Mapping[str, BenchmarkRef]:
    """Return id, section and level of a control by benchmark version."""
    return MappingProxyType(
        {
            version: BenchmarkRef(entry["id"], entry["level"], entry["assessment"])
            for name, entry in entries.items()
            for version in (benchmarks() if name == EVERY else (name,))
        }
    )


def _control(slug: str, section: str, entry: Mapping[str, Any]) -> Control:
    return Control(
        slug=slug,
        section=section,
        title=entry["title"],
        severity=Severity(entry["severity"]),
        rationale=entry["rationale"],
        decision=entry["decision"].replace(_SETTINGS, _judged_settings()),
        fix=entry["fix"],
        remediation=_remediation(entry["remediation"]),
        mappings=tuple(_mappings(entry["mappings"])),
        benchmarks=_places(entry["benchmarks"]),
        unseen=entry["unseen"],
        failing=entry["failing"],
    )


@cache
def _judged_settings() -> str:
    """Return the kernel settings that the control judges, as text generated from the check's table."""
    told = [f"`{setting.key}` {setting.words}" for setting in sysctls.judged()]
    return f"{', '.join(told[:-1])} and {told[-1]}."


def _remediation(entry: Mapping[str, Any] | None) -> Remediation | None:
    if not entry:
        return None
    return Remediation(
        entry["role"], entry["variable"], Impact(entry["impact"]), bool(entry.get("needs_default"))
    )


def _mappings(entries: Mapping[str, Mapping[str, Any]]) -> Iterator[FrameworkMapping]:
    for framework, entry in entries.items():
        yield FrameworkMapping(framework, tuple(entry["requirements"]), entry["source"])


@cache
def _read(name: str) -> dict[str, Any]:
    # Imported here: only commands that judge need YAML.
    import yaml  # noqa: PLC0415

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's loader is ten times faster
    return yaml.load((_DATA / name).read_bytes(), loader)  # type: ignore[no-any-return]  # noqa: S506
