"""Find programs with more privileges than before: uids, capabilities, filters, labels.

A health check does not notice it: a server that fails to drop root still serves, as root.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from hardener.workload.recording import Identity

_SETS = ("effective", "permitted", "inheritable", "bounding", "ambient")
_UNCONFINED = ("", "unconfined")


def gained(
    before: Sequence[Identity], after: Sequence[Identity], *, user: tuple[int, int] | None = None
) -> tuple[str, ...]:
    """Describe the privileges or users that long-lived programs have gained, one sentence each.

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
