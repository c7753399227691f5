"""Prove a profile: run its container under it and under stricter profiles, judge and store the results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hardener import __version__
from hardener.errors import HardenerError
from hardener.files import require_writable, write_text
from hardener.fleet import Fleet
from hardener.history.proofs import Proofs
from hardener.reports.junit import proof_junit
from hardener.text import line
from hardener.workflows.try_confinements import Listener, TrialRequest, try_confinements
from hardener.workload import exercise, profile_document
from hardener.workload import proof as proofs
from hardener.workload.exercise import Exerciser
from hardener.workload.profile_document import Document
from hardener.workload.proven import check, read_folder
from hardener.workload.recording import now
from hardener.workload.settings import APPARMOR, read_seccomp
from hardener.workload.trials import not_tried, plan
from hardener.workload.verdict import Expected, Verdict, judge


@dataclass(frozen=True, slots=True, kw_only=True)
class ProveRequest:
    """A request for a proof.

    Args:
        folder: of the profile; ``proof.json`` is written there.
        seconds: how long all trials may take.
        starts: of the container under the profile.
        command: the exercise, a shell command on this machine; empty for ``run_in``.
        run_in: the exercise, a command in a twin; empty for ``command``.
        run_in_service: the service or container in whose twin it runs.
        install: whether the host may fetch the recorder's tool for this run.
        socket: the engine's socket; empty where the host finds it.
        local: whether the host is this machine, so that the trials end with this process.
        junit: where a JUnit report goes; None for none.
        home: of the history.
    """

    folder: Path
    seconds: int
    starts: int
    command: str = ""
    run_in: tuple[str, ...] = ()
    run_in_service: str = ""
    install: bool = False
    socket: str = ""
    local: bool = False
    junit: Path | None = None
    home: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ProveResult:
    """A proof, its verdict, and its id in the history.

    Args:
        document: the proof.
        profile: what it is of.
        path: of its file.
        verdict: of the proof.
        kept: its id in the history; empty if it could not be kept.
        problem: why it could not be kept.
    """

    document: proofs.ProofDocument
    profile: Document
    path: Path
    verdict: Verdict
    kept: str
    problem: str


def prove(fleet: Fleet, request: ProveRequest, *, listener: Listener) -> ProveResult:
    """Prove the profile of a folder on the one host of a fleet.

    Raises:
        HardenerError: the profile cannot be read, a file cannot be written, or nothing can be tried on the
            host.
    """
    document = profile_document.load(request.folder)
    profile = _digest(request.folder)
    if document.limits.pids is not None:
        raise HardenerError(
            f"{line(str(request.folder))} has a limit of {document.limits.pids} processes from a recording",
            hint="make the profile again with `hardener workload profile`: it sets no such limit any more",
        )
    path = request.folder / proofs.NAME
    for file in (path, *([request.junit] if request.junit else [])):
        require_writable(file)
    seccomp = read_seccomp(request.folder) if document.seccomp else None
    trials = plan(document, seccomp=seccomp, starts=request.starts)

    def exerciser(most: float) -> Exerciser:
        return exercise.command(request.command, most=most) if request.command else exercise.nothing

    began = now()
    tried = try_confinements(
        fleet,
        TrialRequest(
            seconds=request.seconds,
            run_in=request.run_in,
            run_in_service=request.run_in_service,
            install=request.install,
            apparmor=_apparmor(document, request.folder),
            socket=request.socket,
            local=request.local,
        ),
        document=document,
        trials=trials,
        exercise=exerciser,
        listener=listener,
    )
    proof = judge(trials, tried.observations, expected=Expected.of(document))
    found = proofs.ProofDocument(
        hardener=__version__,
        profile=profile,
        name=document.name,
        began=began,
        ended=max(began, now()),
        host=tried.host,
        container=tried.container,
        exercise="command in the container" if request.run_in else "command",
        verdict=proof.verdict.value,
        reasons=proof.reasons,
        evidence=proof.evidence,
        refusals=proof.refusals,
        missing=(*tried.missing, *not_tried(document)),
        trials=proofs.trial_parts(trials, tried.observations),
    )
    if _digest(request.folder) != profile:
        raise HardenerError(
            f"the profile in {line(str(request.folder))} was replaced during its proof", hint="prove it again"
        )
    write_text(path, proofs.text(found))
    if request.junit:
        properties = {"profile": found.profile, "image": found.container.digest, "engine": found.host.engine}
        write_text(request.junit, proof_junit(proof, name=document.name, properties=properties))
    kept, problem = _keep(request)
    return ProveResult(
        document=found, profile=document, path=path, verdict=proof.verdict, kept=kept, problem=problem
    )


def _digest(folder: Path) -> str:
    return profile_document.digest((folder / profile_document.NAME).read_bytes())


def _keep(request: ProveRequest) -> tuple[str, str]:
    """Keep the proof in the history; return its id, or the problem, which does not affect the proof."""
    try:
        return Proofs(request.home).keep(check(read_folder(request.folder))).id, ""
    except HardenerError as error:
        return "", str(error)


def _apparmor(document: Document, folder: Path) -> str:
    """Return the text of the AppArmor profile; empty where there is none, or the host has no AppArmor."""
    if document.apparmor is None or not document.apparmor.used:
        return ""
    return (folder / APPARMOR).read_text(encoding="utf-8")
