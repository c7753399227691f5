"""Describe a verified bundle."""

from __future__ import annotations

from collections.abc import Iterator

from hardener.evidence import Verified
from hardener.evidence.reassess import Reassessed
from hardener.text import line, utc
from hardener.workload.proven import Proven


def verified_lines(verified: Verified) -> Iterator[str]:
    """Return the facts about a bundle, one for each line."""
    yield f"sha256    {verified.sha256}"
    signer = verified.signer
    yield f"signed    by {line(signer.principal)} with {signer.fingerprint}, valid at {utc(verified.at)}"
    if stamp := verified.stamp:
        trust = "" if stamp.trusted else " (by an unverified authority: --tsa-certificates)"
        yield f"stamped   {utc(stamp.moment)}{trust}"
    yield f"files     {verified.files}, all as signed, none extra"
    for run, again in zip(verified.runs, verified.reassessed, strict=True):
        gone = sum(1 for host in run.hosts if host.unreachable)
        window = f"{utc(run.info.started)} to {utc(run.info.ended)}"
        yield f"run       {run.info.run_id}: {line(run.verb)}, {window}"
        yield f"hosts     {len(run.hosts)}, {gone} of them unreachable; {len(run.controls)} controls each"
        yield f"findings  {_compared(again)}"
    for told, proven in verified.proofs:
        removals = proven.proof.evidence
        needed = sum(1 for each in removals if each.needed)
        yield f"proof     {told.id}: {line(told.name)} is {told.verdict}, image {line(told.image)}"
        yield f"          profile sha256:{told.profile} of {', '.join(told.recordings)}"
        yield f"          {needed} of {len(removals)} removed permissions are needed; {_judged(proven)}"
    if place := verified.place:
        yield f"ledger    entry {place.entry.seq} of {place.head.seq}; the last has {place.head.sha256}"
    else:
        yield "ledger    not compared: give --ledger"


def _judged(proven: Proven) -> str:
    """Describe the result of deriving a proof's files and verdict again."""
    if proven.judge:
        return f"made or judged by {line(proven.judge)}, not derived again"
    return "every file follows from the profile, and the verdict from the observations"


def _compared(again: Reassessed) -> str:
    """Describe the result of judging the snapshots of a run again."""
    if again.judge:
        return f"judged by {line(again.judge)}; {again.differences} differ when judged by this version"
    if again.writer:
        writer = line(again.writer)
        return f"all match the facts; the reports of hardener {writer} were not compared"
    return "all match the facts, in every report"
