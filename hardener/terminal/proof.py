"""Summarise a proof: the verdict, what worked, what was not exercised, what was taken away or refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ansible_collections.hardener.docker.plugins.module_utils.contract import NO_HEALTH_CHECK
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener.text import line
from hardener.workload.actions import taken_away
from hardener.workload.merging import unreached
from hardener.workload.observation import Observation
from hardener.workload.profile import APPARMOR_PREFIX
from hardener.workload.profile_document import Document
from hardener.workload.proof import ProofDocument, TrialPart
from hardener.workload.verdict import fresh

_RECORD_AGAIN = (
    "no recording has the calls that the filter refused: record the container again with this exercise, and"
    " name all recordings in `hardener workload profile`"
)
_NOT_NEEDED = (
    "not needed: the container works without it, or the exercise does not use it. If that does all that"
    " the container has to do, `hardener workload profile RECORDING... --from-proof` leaves these out"
)
_EXECUTED = (
    "exec: programs other than a shell, such as a client or a backup by `docker exec`; an exercise by"
    " --run-in contains them"
)
_SCHEDULERS = frozenset({"anacron", "atd", "cron", "crond", "dcron", "fcron", "supercronic"})
_STYLES = {"safe": "bold green", "not safe": "bold red", "not exercised": "bold yellow"}


def screen(proof: ProofDocument, profile: Document, path: Path) -> Iterator[RenderableType]:
    """Return the parts of the screen of a proof.

    Args:
        proof: the proof.
        profile: what it is of.
        path: the file of the proof.
    """
    name = line(proof.container.name, 60)
    tried, usual = (
        next((each for each in proof.trials if each.kind == kind), None) for kind in ("profile", "before")
    )
    seen, before = ((each and each.observation) or Observation() for each in (tried, usual))
    every = {each.name: each for each in (*before.phases, *seen.phases)}.values()
    phases = [each for each in every if not each.exercised and each.reason != NO_HEALTH_CHECK]
    ports = [each for each in seen.ports if not each.reached]
    jobs = sorted({each.program for each in seen.identities} & _SCHEDULERS)
    left = ", ".join(
        [
            *(each.name for each in phases),
            *(f"port {each}" for each in ports),
            *(f"jobs of {each}" for each in jobs),
        ]
    )
    yield Padding(
        Text.assemble(
            (f"{name}: ", "bold"),
            (proof.verdict, _STYLES[proof.verdict]),
            f" (not exercised: {line(left, 300)})" if left else "",
        ),
        (0, 1),
    )
    for reason in proof.reasons:
        yield Padding(Text(line(reason, 500)), (0, 1, 0, 3))
    if _lacks_a_call(proof):
        yield Padding(Text(_RECORD_AGAIN), (0, 1, 0, 3))
    yield from _list("Worked under the profile", _worked(tried, seen))
    yield from _list(
        "Not exercised",
        [
            *(f"{each.name}: {each.reason}" for each in phases),
            *map(unreached, ports),
            *(f"jobs of {each}: an exercise that waits until they have run contains them" for each in jobs),
            *([] if proof.exercise == "command in the container" else [_EXECUTED]),
            *proof.missing,
        ],
    )
    yield from _list("Taken away", _taken(profile))
    if proof.evidence:
        yield Padding(_evidence(proof), (1, 1, 0, 1))
    if proof.not_needed:
        yield Padding(Text(_NOT_NEEDED), (1, 1, 0, 1))
    yield from _list("Refused under the profile", map(str, proof.refusals))
    yield Padding(Text(f"Written to {line(str(path), 1000)}"), (1, 1, 0, 1))


def _list(title: str, sentences: Iterable[str]) -> Iterator[RenderableType]:
    for number, sentence in enumerate(sentences):
        if number == 0:
            yield Padding(Text(title, style="magenta"), (1, 1, 0, 1))
        yield Padding(Text(line(sentence, 300)), (0, 1, 0, 3))


def _worked(tried: TrialPart | None, seen: Observation) -> Iterator[str]:
    """Yield what the container did under the profile as without it."""
    yield _starts(tried)
    if seen.passed:
        yield "the exercise passed"
    if phases := [each.name for each in seen.phases if each.exercised and each.name != "serve"]:
        yield f"phases: {', '.join(phases)}"
    if ports := [str(each) for each in seen.ports if each.reached]:
        yield f"ports that were connected to: {', '.join(ports)}"


def _taken(profile: Document) -> Iterator[str]:
    """Yield what the recorded container could do, and cannot do under the profile."""
    capabilities = profile.capabilities
    if taken := sorted({*capabilities.had} - {*capabilities.kept}):
        names = " ".join(name.removeprefix("CAP_") for name in taken)
        yield f"{len(taken)} of {len(capabilities.had)} capabilities: {names}"
    if profile.seccomp:
        default = profile.seccomp.default_calls
        yield f"{default - len(profile.seccomp.calls)} of the {default} system calls of the engine's default"
    if profile.user:
        yield f"the rights of root: it runs as {profile.user}"
    if profile.root.read_only and not profile.container.read_only:
        folders = ", ".join(each.path for each in profile.root.tmpfs)
        yield f"writing to its root file system{f', except in {folders}' if folders else ''}"
    if profile.privileges.no_new_privileges:
        yield "gaining privileges by a program that it executes"
    if profile.apparmor and profile.apparmor.used:
        yield "files, programs and networks that no recording used, by AppArmor"
    yield from taken_away(profile)


def _starts(tried: TrialPart | None) -> str:
    if tried is None or tried.observation is None:
        return "the profile was not tried"
    labels = (each.lsm.partition(" ")[0] for each in tried.observation.identities)
    own = next((label for label in labels if label.startswith(APPARMOR_PREFIX)), "")
    confined = f", confined by the AppArmor profile {line(own, 100)}" if own else ""
    return f"{tried.observation.starts} of {tried.starts} starts succeeded under the profile{confined}"


def _lacks_a_call(proof: ProofDocument) -> bool:
    """Return whether the profile's filter refuses calls that worked before."""
    seen = {each.kind: each.observation for each in proof.trials}
    before, profile = seen.get("before"), seen.get("profile")
    return bool(before and profile and any(each.by == "filter" for each in fresh(before, profile)))


def _evidence(proof: ProofDocument) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("without", "needed", "observed"):
        table.add_column(title)
    for each in proof.evidence:
        word, style = {True: ("yes", ""), False: ("no", "yellow"), None: ("?", "dim")}[each.needed]
        table.add_row(Text(line(each.removed, 60)), Text(word, style=style), Text(line(each.observed, 300)))
    return table
