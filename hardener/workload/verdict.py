"""Judge the trials of a profile: it is safe, it is not safe, or the exercise proves nothing.

*Safe*: every start under the profile comes up as it did before, each phase and the exercise pass, the same
ports are listened on, no program has more privilege than before, and nothing was refused that was not refused
before. *Not safe*: one of these fails. *Not exercised*: the exercise did not happen, or did not connect to
every published port, or fails without the profile too, or passes under a profile that is too strict on
purpose, or a part of the profile was not tried.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from hardener.workload.merging import unreached
from hardener.workload.observation import Observation, Refusal
from hardener.workload.profile_document import Document
from hardener.workload.recording import Identity, Listen, ServedPort
from hardener.workload.shapes import Part
from hardener.workload.trials import TMPFS, Trial

_CHOSEN = range(32768, 61000)  # ports that the kernel gives a socket that asks for none
_PHASES = ("serve-empty", "health-check", "exec", "reload", "stop")
_SETS = ("effective", "permitted", "inheritable", "bounding", "ambient")
_UNCONFINED = ("", "unconfined")
# Calls that set owners, modes or times of files.
_SETTING = frozenset(
    (
        *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "fchownat", "lchown"),
        *("futimesat", "utime", "utimensat", "utimes"),
    )
)


class Verdict(Enum):
    """The verdict of a proof."""

    SAFE = "safe"
    NOT_SAFE = "not safe"
    NOT_EXERCISED = "not exercised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The differences from the original that a profile itself makes.

    Args:
        user: the uid and gid that it gives the container in place of its own.
        idle: programs, each with a call that sets owners, modes or times of files, and by which it changed
            nothing on the root file system in the recordings: a read-only one refuses it all the same.
    """

    user: tuple[int, int] | None = None
    idle: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, profile: Document) -> Expected:
        """Return the differences that a profile makes."""
        user, seccomp = profile.user, profile.seccomp
        recorded = seccomp.calls.items() if seccomp and profile.root.read_only else ()
        return cls(
            user=(user.uid, user.gid) if user else None,
            idle=frozenset(
                (program, call)
                for call, why in recorded
                if call in _SETTING and why.container
                for program in why.container.programs
            ),
        )


NOTHING = Expected()


class Removal(Part):
    """The result of a trial without one part of the profile; ``needed`` is null where it is unknown."""

    removed: str
    needed: bool | None
    observed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The verdict on a profile, with reasons, evidence and refused calls.

    Args:
        verdict: in one word.
        reasons: why it is not safe, or not exercised.
        evidence: what each removal has shown.
        refusals: every refused call under the profile, those from before included.
    """

    verdict: Verdict
    reasons: tuple[str, ...]
    evidence: tuple[Removal, ...]
    refusals: tuple[Refusal, ...]

    @property
    def superfluous(self) -> tuple[str, ...]:
        """Return the parts that the exercise does not need: superfluous, or not exercised."""
        return tuple(each.removed for each in self.evidence if each.needed is False)


def settled(
    trials: Sequence[Trial],
    observations: Mapping[str, Observation],
    *,
    expected: Expected = NOTHING,
) -> bool:
    """Return whether the verdict is final: the exercise proves nothing, or the profile is not safe."""
    before, profile = observations.get("before"), observations.get("profile")
    controls = [observations.get(trial.key) for trial in trials if trial.kind == "control"]
    return bool(
        (before and not before.passed)
        or (controls and all(controls) and not any(map(_fails, controls)))
        or (before and profile and (not profile.exercised or _regressions(before, profile, expected)))
    )


def _fails(control: Observation | None) -> bool:
    return control is not None and control.exercised and not control.passed


def judge(
    trials: Sequence[Trial],
    observations: Mapping[str, Observation],
    *,
    expected: Expected = NOTHING,
) -> Proof:
    """Judge the observations of the trials.

    Args:
        trials: the plan.
        observations: what happened, by the key of the trial; one that is missing was not run.
        expected: the differences that the profile itself makes.
    """
    before = observations.get("before", Observation())
    profile = observations.get("profile", Observation())
    unexercised = _unexercised(trials, before, profile, observations)
    wrong: tuple[str, ...] = ()
    # A failed start is visible without any exercise.
    if before.passed if before.exercised else before.starts and profile.failed:
        wrong = _regressions(before, profile, expected)
    proven_wrong = wrong and (profile.exercised or profile.failed)
    verdict = Verdict.NOT_EXERCISED if unexercised else Verdict.SAFE
    if proven_wrong:
        verdict = Verdict.NOT_SAFE
    reasons = wrong if proven_wrong else unexercised
    removals = [trial for trial in trials if trial.kind == "without"]
    untried = sum(trial.key not in observations for trial in removals)
    if verdict is Verdict.SAFE and untried:
        verdict = Verdict.NOT_EXERCISED
        were = "was" if untried == 1 else "were"
        reasons = (f"{untried} of {len(removals)} removals {were} not tried before the time limit (--for)",)
    unreached_ports = tuple(map(unreached, _unreached_ports(before, profile)))
    if verdict is Verdict.SAFE and unreached_ports:
        verdict, reasons = Verdict.NOT_EXERCISED, unreached_ports
    return Proof(
        verdict=verdict,
        reasons=tuple(reasons),
        evidence=tuple(
            _evidence(trial, observations.get(trial.key), before, expected, conclusive=not unexercised)
            for trial in trials
            if trial.kind in ("without", "never")
        ),
        refusals=profile.refusals,
    )


def _unexercised(
    trials: Sequence[Trial],
    before: Observation,
    profile: Observation,
    observations: Mapping[str, Observation],
) -> tuple[str, ...]:
    """Return the reasons why the exercise proves nothing; empty where it proves something."""
    if "before" not in observations or not before.exercised:
        return (before.note or "the exercise did not reach the twin",)
    if not before.passed:
        note = f": {before.note}" if before.note else ""
        return (f"the exercise fails without the profile too{note}",)
    controls = [trial.key for trial in trials if trial.kind == "control"]
    tried = [observations[key] for key in controls if key in observations]
    if not controls:
        return ("no call was recorded while the container served: no profile can be made that is too strict",)
    if not any(map(_fails, tried)):
        if not tried:
            return ("a profile that is too strict was not tried",)
        if any(each.passed for each in tried):
            return ("this exercise proves nothing: it passes under a profile that is too strict",)
        return ("the exercise could not be tried under a profile that is too strict",)
    if not profile.exercised and profile.starts:
        return (profile.note or "the exercise did not reach the twin under the profile",)
    if "profile" not in observations:
        return ("the profile was not tried",)
    asked = next(trial.starts for trial in trials if trial.kind == "profile")
    if not profile.failed and profile.starts < asked:
        return (f"only {profile.starts} of {asked} starts were made before the time limit (--for)",)
    return ()


def _unreached_ports(before: Observation, observed: Observation) -> Iterator[ServedPort]:
    """Yield the published ports on which the container listens, and to which the exercise did not connect."""
    listens = {(each.protocol.removesuffix("6"), each.port) for each in before.listens}
    for each in observed.ports:
        if each.published and not each.reached and (each.protocol, each.port) in listens:
            yield each


def _regressions(before: Observation, observed: Observation, expected: Expected) -> tuple[str, ...]:
    """Return the regressions of a trial: everything that worked before and does not now."""
    refused = tuple(
        str(each)
        for each in fresh(before, observed)
        if each.error != errno.EROFS or (each.program, each.call) not in expected.idle
    )
    note = f": {observed.note}" if observed.note else ""
    if observed.failed:
        return (f"{observed.failed} of {observed.failed + observed.starts} starts failed{note}", *refused)
    if observed.exercised and not observed.passed:
        return (f"the exercise fails{note}", *refused)
    return (
        *_worse_phases(before, observed),
        *(f"nothing listens on {each.protocol} {each.port}" for each in _silent_ports(before, observed)),
        *gained(before.identities, observed.identities, user=expected.user),
        *refused,
    )


def _worse_phases(before: Observation, observed: Observation) -> Iterator[str]:
    for name in _PHASES:
        old, new = before.phase(name), observed.phase(name)
        if old is None or new is None or not old.exercised:
            continue
        if not new.exercised:
            yield f"the phase {name} fails: {new.reason}"
        elif new.reason != old.reason and name != "serve-empty":
            yield f"the phase {name} differs: {new.reason}; before, {old.reason}"


def _silent_ports(before: Observation, observed: Observation) -> list[Listen]:
    """Return the ports that are no longer listened on.

    Of ports that the kernel chooses, each start has others: UDP ports are of clients, in place of a TCP port
    another one has to be listened on.
    """
    served = {(each.protocol, each.port) for each in before.ports}

    def is_chosen(each: Listen) -> bool:
        return each.port in _CHOSEN and (each.protocol.removesuffix("6"), each.port) not in served

    others = {each.protocol for each in observed.listens if is_chosen(each)} | {"udp", "udp6"}
    return sorted(
        each
        for each in {*before.listens} - {*observed.listens}
        if not is_chosen(each) or each.protocol not in others
    )


def fresh(before: Observation, observed: Observation) -> tuple[Refusal, ...]:
    """Return the calls that were refused only in this trial, except those refused with ENOSYS."""
    known = {each.kind for each in before.refusals}
    filtered = {(each.program, each.call) for each in before.refusals if each.by == "filter"}
    return tuple(
        each
        for each in observed.refusals
        if each.kind not in known
        and not _is_refused_again(each, before, observed)
        and (
            each.by == "kernel" or ((each.program, each.call) not in filtered and each.error != errno.ENOSYS)
        )
    )


def _is_refused_again(refusal: Refusal, before: Observation, observed: Observation) -> bool:
    """Return whether a refusal with EROFS only replaces an earlier refusal with EACCES or EPERM.

    A read-only file system refuses before rights are checked: EROFS takes the place of EACCES or EPERM.
    Python has that where it may not write what it compiled. Paths are not known, so the numbers decide: the
    old refusal no longer happens, and no start has more of the new one than a start had of the old one.
    """
    if refusal.error != errno.EROFS or refusal.by != "kernel":
        return False
    remaining = {each.kind for each in observed.refusals}
    replaced = [
        each.times
        for each in before.refusals
        if (each.program, each.call, each.by) == (refusal.program, refusal.call, "kernel")
        and each.error in (errno.EACCES, errno.EPERM)
        and each.kind not in remaining
    ]
    return 0 < refusal.times <= max(replaced, default=0)


def _evidence(
    trial: Trial,
    observed: Observation | None,
    before: Observation,
    expected: Expected,
    *,
    conclusive: bool,
) -> Removal:
    if trial.kind == "never":
        needed = False if conclusive else None
        return Removal(removed=trial.key, needed=needed, observed="no twin had it in any trial")
    if observed is None:
        return Removal(removed=trial.key, needed=None, observed="not tried")
    if trial.key.startswith(TMPFS):  # a call changes something there
        expected = replace(expected, idle=frozenset())
    wrong = _regressions(before, observed, expected)
    if not conclusive or not (observed.failed or observed.exercised):
        return Removal(removed=trial.key, needed=None, observed=observed.note or "not exercised")
    if wrong:
        return Removal(removed=trial.key, needed=True, observed="; ".join(wrong))
    return Removal(removed=trial.key, needed=False, observed="the exercise passes without it")


def gained(
    before: Sequence[Identity], after: Sequence[Identity], *, user: tuple[int, int] | None = None
) -> tuple[str, ...]:
    """Describe the privileges or users that long-lived programs have gained, one sentence each.

    A health check does not notice it: a server that fails to drop root still serves, as root.

    Args:
        before: as whom they ran.
        after: as whom they run now.
        user: the uid and gid that the container was given in place of its own.
    """
    found = []
    for program in sorted({identity.program for identity in (*before, *after)}):
        old = [each for each in before if each.program == program]
        new = [each for each in after if each.program == program]
        if not new:
            found.append(f"{program} does not run any more")
        elif not old:
            found.append(f"{program} did not run before")
        # Of several processes of a program, each is compared with the most similar one.
        more = [min(([*_gains(one, identity, user)] for one in old), key=len) for identity in new if old]
        # A process that keeps its rights instead of giving them up is similar to the one that started it.
        lost = [one for one in old if one.uid != 0 and all([*_gains(one, each, user)] for each in new)]
        found += [sentence for sentences in more for sentence in sentences] or [
            f"{program} does not run as {one.uid}:{one.gid} any more" for one in lost if new
        ]
    return tuple(dict.fromkeys(found))


def _gains(old: Identity, new: Identity, user: tuple[int, int] | None) -> Iterator[str]:
    name = new.program
    if (new.uid, new.gid) not in ((old.uid, old.gid), user):
        yield f"{name} runs as {new.uid}:{new.gid}, and ran as {old.uid}:{old.gid}"
    if more := sorted(set(new.groups) - set(old.groups) - ({user[1]} if user else set())):
        yield f"{name} is in further groups: {', '.join(map(str, more))}"
    for each in _SETS:
        if further := sorted(_set(new, each) - _set(old, each)):
            yield f"{name} has further {each} capabilities: {', '.join(further)}"
    if old.no_new_privileges and not new.no_new_privileges:
        yield f"{name} runs without no-new-privileges"
    if new.seccomp_mode < old.seccomp_mode or new.seccomp_filters < old.seccomp_filters:
        yield f"{name} has fewer seccomp filters: {new.seccomp_filters} instead of {old.seccomp_filters}"
    if new.lsm in _UNCONFINED and old.lsm not in _UNCONFINED:
        yield f"{name} is not confined by a security module any more"


def _set(identity: Identity, name: str) -> frozenset[str]:
    names: Iterable[str] = getattr(identity, name)
    return frozenset(names)
