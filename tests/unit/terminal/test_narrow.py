"""Screens of narrow terminals: nothing that a wide terminal shows is missing."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from hardener import catalogue
from hardener.comparison import ChangedFact, ContainerChange, Drift
from hardener.model import AppliedWaiver, Impact, Remediation, Standing, Status, Verdict
from hardener.plan import ActivationResult, Decision, Fate, Outlook, TransactionResult, plan
from hardener.terminal.console import console, show_drift, show_images, show_plan
from hardener.terminal.trend import sections
from hardener.workload.identity import Axis
from tests.unit.reports.assessments import BENCHMARK, assessment, gone, waiver

WIDTHS = (40, 60, 80)
WIDE = 4000
# Short and long words, words without a blank, two columns a character, combining marks, markup, escapes.
WORDS = (
    "a",
    "10.0.0.1",
    "registry.example.com/team/app:1",
    "no-blank-" * 9,
    "漢字" * 12,
    "é" * 30,
    "[red]x",
    "\x1b[2J",
)
IMPACTS = tuple(Impact)
FATES = tuple(Fate)
CONTROLS = catalogue.load(BENCHMARK)
WAIVED = AppliedWaiver(waiver("W-1", CONTROLS[0].slug, "2027-01-31"), Standing.IN_FORCE)


def text(chance: random.Random, most: int = 6) -> str:
    return " ".join(chance.choice(WORDS) for _ in range(chance.randrange(1, most)))


def rendered(show: Callable[[Console], None], width: int) -> list[str]:
    stream = io.StringIO()
    show(console(stream, width=width))
    return stream.getvalue().splitlines()


def characters(lines: list[str]) -> Counter[str]:
    """The characters that are shown, without blanks: however lines are wrapped, they are the same."""
    return Counter("".join("".join(lines).split()))


def nothing_is_missing(show: Callable[[Console], None], width: int) -> None:
    narrow, wide = rendered(show, width), rendered(show, WIDE)
    assert characters(narrow) == characters(wide), "\n".join(narrow)
    assert max(map(cell_len, narrow), default=0) <= width, "\n".join(narrow)


# --- images -------------------------------------------------------------------------------------------------


def image(chance: random.Random) -> dict[str, Any]:
    statuses = ("verified", "pinned", "allowed", "exempt", "unreachable", "unsigned", text(chance, 3))
    return {
        "id": "sha256:" + "a" * 64,
        "names": [text(chance, 2) for _ in range(chance.randrange(3))],
        "status": chance.choice(statuses),
        "detail": text(chance) if chance.random() < 0.8 else "",
        "containers": [
            {"name": text(chance, 3), "running": True, "by_digest": chance.random() < 0.5}
            for _ in range(chance.randrange(5))
        ],
    }


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seed", range(4))
def test_the_list_of_images_shows_all_text_on_a_narrow_terminal(seed: int, width: int) -> None:
    chance = random.Random(seed)
    host, images = text(chance, 3), [image(chance) for _ in range(chance.randrange(15))]
    nothing_is_missing(lambda screen: show_images(host, images, screen), width)


# --- trend --------------------------------------------------------------------------------------------------


@dataclass
class Run:
    """What a trend shows of a stored run."""

    sections: dict[str, dict[Status, int]]

    def section_names(self) -> list[str]:
        return list(self.sections)

    def counts(self) -> dict[Status, int]:
        return dict(sum(map(Counter, self.sections.values()), Counter()))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seed", range(4))
def test_a_trend_shows_all_text_on_a_narrow_terminal(seed: int, width: int) -> None:
    chance = random.Random(seed)
    names = ["host", "operations", *(text(chance, 3) for _ in range(chance.randrange(3)))]
    runs: list[Any] = [
        Run(
            {
                name: {status: chance.randrange(10 ** chance.randrange(6)) for status in Status}
                for name in names
            }
        )
        for _ in range(chance.choice((1, 5, 30, 100)))
    ]
    wide = rendered(lambda screen: screen.print(sections(runs)), WIDE)
    narrow = rendered(lambda screen: screen.print(sections(runs)), width)
    assert max(map(cell_len, narrow)) <= width
    missing = characters(wide) - characters(narrow)
    assert not missing - Counter("section"), "\n".join(narrow)  # a heading that the lines do not need


# --- plan ---------------------------------------------------------------------------------------------------


def remediation(chance: random.Random) -> Remediation | None:
    number = chance.randrange(9)
    return Remediation("docker_files", f"docker_files_{number}", chance.choice(IMPACTS)) if number else None


def planned(chance: random.Random) -> Outlook:
    """Plan for controls that share variables, some of which are waived, and for some without a role."""
    chosen = [
        replace(control, remediation=remediation(chance), title=text(chance))
        for control in chance.sample(CONTROLS, 12)
    ]
    verdicts = [Verdict(Status.FAIL, text(chance), text(chance)) for _ in chosen]
    found = assessment(text(chance, 2), verdicts, controls=chosen)
    findings = [
        replace(each, waivers=(WAIVED,)) if each.control.remediation and chance.random() < 0.1 else each
        for each in found.findings
    ]
    found = replace(found, findings=tuple(findings))
    made = plan(found)
    return Outlook(
        made,
        tuple(
            Decision(step, chance.choice(FATES), chance.choice(IMPACTS), chance.choice(("", text(chance))))
            for step in made.steps
        ),
        TransactionResult(
            notes=(text(chance),),
            activations=(
                ActivationResult(
                    name="docker", action=text(chance), why=(), stops=(text(chance), text(chance))
                ),
            ),
        ),
        left=(text(chance),),
        failure=text(chance),
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seed", range(4))
def test_a_plan_shows_all_text_on_a_narrow_terminal(seed: int, width: int) -> None:
    chance = random.Random(seed)
    outlooks = [planned(chance) for _ in range(3)]
    nothing_is_missing(lambda screen: show_plan(outlooks, screen, benchmark=BENCHMARK), width)


# --- drift --------------------------------------------------------------------------------------------------


def _always(fact: ChangedFact) -> Callable[[str], tuple[ChangedFact, ...]]:
    return lambda _slug: (fact,)


def drift_between(chance: random.Random) -> Drift:
    drift = Drift()
    chosen = [replace(control, title=text(chance)) for control in chance.sample(CONTROLS, 10)]
    axes = tuple(Axis(name=text(chance, 2), before=text(chance), after=text(chance)) for _ in range(3))
    for number in range(3):
        before, after = (
            assessment(
                f"{number} {text(chance, 2)}",
                [Verdict(chance.choice(tuple(Status)), text(chance), text(chance)) for _ in chosen],
                controls=chosen,
            )
            for _ in range(2)
        )
        fact = ChangedFact(text(chance), text(chance), text(chance))
        container = ContainerChange(text(chance, 2), axes, (text(chance, 2),))
        drift.add(before, after, _always(fact), (container,))
    drift.add(None, gone(text(chance, 3)))
    return drift


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("seed", range(4))
def test_drift_shows_all_text_on_a_narrow_terminal(seed: int, width: int) -> None:
    chance = random.Random(seed)
    drift, title = drift_between(chance), text(chance)
    nothing_is_missing(lambda screen: show_drift(drift, screen, title=title), width)
