"""Make a profile from recordings: write its files, and add its settings to a compose file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hardener.bounded import read
from hardener.errors import HardenerError
from hardener.files import require_writable, write_text
from hardener.reports.profile_page import html, markdown
from hardener.text import line
from hardener.workload.artefacts import artefacts
from hardener.workload.compose import edited
from hardener.workload.page import Section, sections
from hardener.workload.profile import make, short_name
from hardener.workload.profile_document import MOST, PROOF, Document, foreign
from hardener.workload.proven import Proven, check, read_folder
from hardener.workload.recording import load
from hardener.workload.settings import SECCOMP, interpolated, recorded_keys, service_keys
from hardener.workload.verdict import Verdict

_MOST = 1 << 20  # bytes of a compose file
_PROVE = "make the profile without it, then `hardener workload prove {} --run COMMAND`"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRequest:
    """A request for a profile.

    Args:
        recordings: files of one container.
        out: the profile's folder; None for one that is named after the container.
        allow_extra: recorded system calls that are permitted although the engine's default refuses them.
        drop: capabilities and parts that are left out although their use was recorded.
        from_proof: leave out what the folder's profile left out, and what its proof found not needed.
        keep_user: keep root although another user would do.
        no_exec: refuse calls that only a shell in the container needs.
        require_proof: write nothing if the profile is not proven safe, or no exercise reached the container.
        compose: the files of a project, as docker compose takes them; the last one gets the settings.
        service: of the compose file; empty for the recorded one.
    """

    recordings: Sequence[Path]
    out: Path | None = None
    allow_extra: Sequence[str] = ()
    drop: Sequence[str] = ()
    from_proof: bool = False
    keep_user: bool = False
    no_exec: bool = False
    require_proof: bool = False
    compose: Sequence[Path] = ()
    service: str = ""


@dataclass(frozen=True, slots=True)
class ComposeChange:
    """The content of a compose file before and after it gets the settings of a profile."""

    path: Path
    before: str
    after: str

    def apply(self) -> None:
        """Write the changed content to the compose file.

        Raises:
            HardenerError: it cannot be written, or was changed in the meantime.
        """
        require_writable(self.path)
        if _text(self.path) != self.before:
            raise HardenerError(f"{line(str(self.path))} was changed in the meantime", hint="try again")
        write_text(self.path, self.after, shared=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileResult:
    """A profile that was written.

    Args:
        folder: of its files.
        files: their names, in the order of writing.
        page: the reasons, by section.
        complete: whether every recording is.
        served: whether an exercise reached the container in one of them.
        change: of the compose file; None without one.
        proven: whether the folder has a proof that exactly this profile is safe.
        removed_proof: whether a proof of another profile was removed from the folder.
        apparmor: name of the AppArmor profile that the settings request; empty for none.
        user: the user in place of root; empty if root stays.
    """

    folder: Path
    files: tuple[str, ...]
    page: Sequence[Section]
    complete: bool
    served: bool
    change: ComposeChange | None
    proven: bool
    removed_proof: bool
    apparmor: str
    user: str


def make_profile(request: ProfileRequest) -> ProfileResult:
    """Make the profile and write its files; a compose file is only read.

    Raises:
        HardenerError: a recording or the compose file is unreadable or unsuitable, the folder has files that
            do not belong to a profile, or the required proof is missing.
    """
    recordings = [(str(path), load(path)) for path in request.recordings]
    folder = request.out or Path(f"{short_name(recordings[0][1].container.name)}-profile")
    made = make(
        recordings,
        allow_extra=request.allow_extra,
        drop={*request.drop, *(_not_needed(folder) if request.from_proof else ())},
        keep_user=request.keep_user,
        no_exec=request.no_exec,
    )
    project = request.compose[0].parent if request.compose else folder
    seccomp = _relative(folder / SECCOMP, project)
    service, change = request.service, None
    if request.compose and not service:
        service = _recorded_service(made.document)
    whole = made.document.model_copy(
        update={"seccomp_path": seccomp, "service": service or made.document.service}
    )
    if request.compose:
        change = _change(request.compose, whole)
    served = any(each.served for each in made.merged.recordings)
    page = list(sections(made))
    files = artefacts(whole)
    proof, unproven = _proof(folder, files)
    if request.require_proof and not served:
        raise HardenerError(
            "--apply: in no recording did an exercise reach the container",
            hint="record it with --run or --run-in, or add --unproven",
        )
    if request.require_proof and unproven:
        name = line(str(folder), 1000)
        raise HardenerError(
            f"--apply: {name} has no proof that this profile is safe: {unproven}",
            hint=f"repeat the command without --apply, then `hardener workload prove {name} --run COMMAND`;"
            " or add --unproven",
        )
    files |= {"profile.md": markdown(page), "profile.html": html(page)}
    if other := foreign(folder, [*files, PROOF]):
        raise HardenerError(
            f"{line(str(folder))} has a file {other} that does not belong to its profile",
            hint="name another folder with --out, or remove the file",
        )
    removed_proof = proof is None and _remove(folder / PROOF)
    for name, text in files.items():
        write_text(folder / name, text)
    return ProfileResult(
        folder=folder,
        files=tuple(files),
        page=page,
        complete=made.merged.complete,
        served=served,
        change=change,
        proven=not unproven,
        removed_proof=removed_proof,
        user=str(whole.user or ""),
        apparmor=whole.apparmor.name if whole.apparmor and whole.apparmor.used else "",
    )


def _not_needed(folder: Path) -> frozenset[str]:
    """Return what the profile in a folder has left out, and what its proof found not needed.

    Raises:
        HardenerError: the folder has no proof that its profile is safe.
    """
    name = line(str(folder), 1000)
    try:
        found = check(read_folder(folder))
    except HardenerError as error:
        raise HardenerError(f"--from-proof: {name}: {error.message}", hint=_PROVE.format(name)) from error
    if found.proof.verdict != Verdict.SAFE.value or found.judge:
        raise HardenerError(
            f"--from-proof: {name} has no proof of this version that its profile is safe",
            hint=_PROVE.format(name),
        )
    return found.profile.dropped | found.proof.not_needed


def _proof(folder: Path, files: Mapping[str, str]) -> tuple[Proven | None, str]:
    """Return a folder's proof of the profile in these files, and the reason if it does not prove it safe."""
    try:
        data = read(folder / PROOF, most=MOST)
    except (OSError, ValueError):
        return None, f"there is no {PROOF}"
    try:
        found = check({PROOF: data, **{name: text.encode() for name, text in files.items()}})
    except HardenerError as error:
        return None, error.message
    verdict = found.proof.verdict
    return found, "" if verdict == Verdict.SAFE.value else f"{PROOF}: the verdict is: {verdict}"


def _remove(path: Path) -> bool:
    """Remove a file; return whether it was there."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise HardenerError(f"cannot remove {line(str(path))}: {error.strerror}") from error
    return True


def _recorded_service(profile: Document) -> str:
    recorded = profile.container.compose
    if recorded is None:
        raise HardenerError(
            "the recorded container does not belong to a compose project",
            hint="name the service with --service",
        )
    return recorded.service


def _change(files: Sequence[Path], profile: Document) -> ComposeChange:
    """Return the change of the last one of these compose files."""
    before = _text(files[-1])
    after = edited(
        before,
        interpolated(service_keys(profile)),
        service=profile.service,
        name=str(files[-1]),
        recorded=recorded_keys(profile),
        several=len(files) > 1,
    )
    return ComposeChange(files[-1], before, after)


def _text(compose: Path) -> str:
    """Read the content of a compose file."""
    name = line(str(compose))
    try:
        return read(compose, most=_MOST).decode()
    except UnicodeDecodeError as error:
        raise HardenerError(f"cannot read {name}: it is not UTF-8") from error
    except OSError as error:
        raise HardenerError(f"cannot read {name}: {error.strerror}") from error
    except ValueError as error:
        raise HardenerError(f"cannot read {name}: {error}") from error


def _relative(path: Path, project: Path) -> str:
    """Return a path relative to the project's folder for compose, with a leading ``./`` or ``../``."""
    found = os.path.relpath(path, project)
    return found if found.startswith("..") else f"./{found}"
