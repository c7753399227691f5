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
        for identity in new if old else ():
            # One of several processes: compare it with the most similar one.
            candidates: list[list[str]] = [list(_gains(one, identity, user)) for one in old]
            candidates.sort(key=len)
            found += candidates[0]
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
