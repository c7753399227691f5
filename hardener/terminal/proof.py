"""Summarise a proof: the verdict, what is needed and what is not, and the refused calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from hardener.text import line
from hardener.workload.profile import APPARMOR_PREFIX
from hardener.workload.proof import ProofDocument
from hardener.workload.verdict import fresh

_RECORD_AGAIN = (
    "no recording has the calls that the filter refused: record the container again with this exercise, and"
    " name all recordings in `hardener workload profile`"
)
_NOT_NEEDED = (
    "not needed: the exercise does not use the permission, or the container works without it;"
    " `hardener workload profile --drop NAME` leaves out a capability"
)
_STYLES = {"safe": "bold green", "not safe": "bold red", "not exercised": "bold yellow"}


def screen(proof: ProofDocument, path: Path) -> Iterator[RenderableType]:
    """Return the parts of the screen of a proof.

    Args:
        proof: the proof.
        path: the file of the proof.
    """
    name = line(proof.container.name, 60)
    yield Padding(Text.assemble((f"{name}: ", "bold"), (proof.verdict, _STYLES[proof.verdict])), (0, 1))
    for reason in proof.reasons:
        yield Padding(Text(line(reason, 500)), (0, 1, 0, 3))
    yield Padding(Text(_starts(proof)), (0, 1, 0, 3))
    if _lacks_a_call(proof):
        yield Padding(Text(_RECORD_AGAIN), (0, 1, 0, 3))
    if proof.evidence:
        yield Padding(_evidence(proof), (1, 1, 0, 1))
    if any(each.needed is False and each.removed.startswith("capability ") for each in proof.evidence):
        yield Padding(Text(_NOT_NEEDED), (1, 1, 0, 1))
    if proof.refusals:
        yield Padding(Text("Refused under the profile", style="magenta"), (1, 1, 0, 1))
        for refusal in proof.refusals:
            yield Padding(Text(line(str(refusal), 200)), (0, 1, 0, 3))
    if proof.missing:
        yield Padding(Text("Not part of the proof", style="magenta"), (1, 1, 0, 1))
        for sentence in proof.missing:
            yield Padding(Text(line(sentence, 300)), (0, 1, 0, 3))
    yield Padding(Text(f"Written to {line(str(path), 1000)}"), (1, 1, 0, 1))


def _starts(proof: ProofDocument) -> str:
    profile = next((each for each in proof.trials if each.kind == "profile"), None)
    if profile is None or profile.observation is None:
        return "the profile was not tried"
    labels = (each.lsm.partition(" ")[0] for each in profile.observation.identities)
    own = next((label for label in labels if label.startswith(APPARMOR_PREFIX)), "")
    confined = f", confined by the AppArmor profile {line(own, 100)}" if own else ""
    return f"{profile.observation.starts} of {profile.starts} starts succeeded under the profile{confined}"


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
