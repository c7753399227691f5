from __future__ import annotations

import io
from dataclasses import replace

from hardener.model import Finding, Impact, Severity, Status, Verdict
from hardener.plan import (
    ActivationResult,
    Decision,
    DocumentResult,
    Fate,
    FileChange,
    Outlook,
    Plan,
    Step,
    TransactionResult,
    Withheld,
)
from hardener.terminal.console import console
from hardener.terminal.plan import show
from tests.unit.reports.assessments import BENCHMARK, control
from tests.unit.variants import variants


def finding(slug: str, identifier: str, severity: Severity = Severity.HIGH) -> Finding:
    verdict = Verdict(Status.FAIL, "expected", "actual")
    return Finding(control(slug, identifier, "host", severity=severity, role="kernel"), verdict)


STEPS = tuple(
    Step(
        "kernel",
        f"kernel_{number}",
        (finding(f"a-{number}", f"1.1.{number}"), finding(f"b-{number}", f"1.2.{number}")),
    )
    for number in range(len(Fate) + 1)
)
RESULT = TransactionResult(
    documents=(
        DocumentResult(name="kernel_0", state="change", impact=Impact.RELOAD, reason="why", paths=("/p",)),
    ),
    changes=(FileChange(path="/etc/x", what="change", diff="-old\n+new\n"),),
    activations=(
        ActivationResult(
            name="docker",
            action="restart",
            why=("why",),
            first="first",
            stops=("db", "web"),
            stay_down=("cron",),
            recreates=("proxy",),
            leaves=("rest",),
        ),
    ),
    notes=("a note",),
    allow="reload",
    digest="0123",
    reason="why",
)
BASE = Outlook(
    Plan(
        "web1",
        STEPS[:-1],
        beyond=(finding("beyond", "5.5"), finding("critical", "5.31", Severity.CRITICAL)),
        withheld=(Withheld(STEPS[-1], (finding("waived", "2.2"),)),),
    ),
    tuple(
        Decision(step, fate, Impact.DAEMON_RESTART, "why", ("/p",))
        for step, fate in zip(STEPS, Fate, strict=False)
    ),
    RESULT,
    left=("held: another",),
    failure="it did not answer",
)
VARIANTS = [*variants(BASE), ("nothing", BASE)]


def shown(*outlooks: Outlook) -> str:
    stream = io.StringIO()
    show(outlooks, console(stream, width=100), benchmark=BENCHMARK)
    return "".join(f"{each.rstrip()}\n" for each in stream.getvalue().splitlines())


def renamed(outlook: Outlook, host: str) -> Outlook:
    return replace(outlook, plan=replace(outlook.plan, host=host))


def test_hosts_share_a_section_only_if_each_is_shown_what_it_is_shown_alone() -> None:
    one = renamed(BASE, "web1")
    of_one, seen = shown(one), set[str]()
    for place, variant in VARIANTS:
        other = renamed(variant, "web2")
        of_other = shown(other)
        alike = of_other == of_one.replace("web1", "web2")
        wanted = of_one.replace("web1", "web1, web2") if alike else of_one + of_other
        seen |= set() if alike else {place}
        assert shown(one, other) == wanted, place
    for place in (
        *(".plan.beyond[:-1]", ".plan.withheld[:-1]", ".decisions[:-1]", ".decisions[0].fate"),
        *(".decisions[0].step.role", ".decisions[0].step.variable", ".decisions[0].step.findings[:-1]"),
        *(".decisions[0].impact", ".decisions[0].reason", ".result.changes[0].diff"),
        *(".result.activations[0].stops[0]", ".result.activations[0].action", ".result.notes[0]"),
        *(".left[0]", ".failure", ".plan.withheld[0].step.role"),
    ):
        assert place in seen, place
