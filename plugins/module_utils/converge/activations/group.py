"""Remove accounts from a group that is equivalent to root."""

from __future__ import annotations

import glob
import grp
import pwd
import re
from typing import Any, Collection, Mapping, Sequence

from .. import system
from ..errors import Failed, Refused
from ..planning import Plan
from .interface import Activation, Begun, Former, united

_GROUPS = "/etc/group"


class GroupMembers(Activation):
    """Remove accounts that are not approved from a group; only an undo or a release adds accounts.

    Settings: ``group``, ``members``: the approved accounts. Only members listed in /etc/group can be removed:
    users with the group as primary group and users of a directory service are reported. ``restored``:
    accounts that are added again; nothing is removed then.
    """

    name = "group-members"
    touches = ()
    known = frozenset({"when", "group", "members", "restored"})
    _valid = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?")

    def prepare(self, plan: Plan) -> None:
        """Mark the activation as due if a member is not approved, or if a member must be added again."""
        super().prepare(plan)
        if not self._valid.fullmatch(self._group):
            raise Refused(f"activation {self.name}: {self._group!r} is not the name of a group")
        if "restored" in self.settings:
            self.action = f"put {', '.join(self._absent)} back into the group {self._group}"
            self.reasons = [f"{user} was in the group" for user in self._absent]
            return
        excess = self._excess()
        self.action = f"take {', '.join(excess)} out of the group {self._group}"
        self.reasons += [f"{user} is not approved" for user in excess]
        if excess and not self.check and not system.installed("gpasswd"):
            raise Refused("gpasswd is not installed: install the package passwd (shadow-utils) first")
        self.pending = self._beyond_reach(excess) + self._running(excess)

    @property
    def _group(self) -> str:
        return str(self.settings.get("group", ""))

    @property
    def _absent(self) -> list[str]:
        """Return the accounts that must be added again and are not in the group."""
        members = _members(self._group)
        return [user for user in self.settings["restored"] if user not in members and _exists(user)]

    def _approved(self, user: str) -> bool:
        return user == "root" or user in self.settings.get("members", ())

    def _excess(self) -> list[str]:
        """Return the members in /etc/group that are not approved."""
        return [user for user in _members(self._group) if not self._approved(user)]

    def _beyond_reach(self, excess: list[str]) -> list[str]:
        """Describe unapproved members that hardener cannot remove (primary group, directory service)."""
        try:
            group = grp.getgrnam(self._group)
        except KeyError:
            return []
        primary = [user.pw_name for user in pwd.getpwall() if user.pw_gid == group.gr_gid]
        named = [user for user in group.gr_mem if user not in (*excess, *primary)]
        return [
            f"{self._group} is the primary group of {user}, who is not approved: give the account another"
            f" primary group (usermod --gid GROUP {user})"
            for user in primary
            if not self._approved(user)
        ] + [
            f"{user} is in the group {self._group} through a directory service, and not approved: remove"
            " the user from the group there"
            for user in named
            if not self._approved(user) and user not in _members(self._group)
        ]

    def _running(self, excess: list[str]) -> list[str]:
        """Describe the accounts whose processes keep the group after they have left it."""
        try:
            gid = grp.getgrnam(self._group).gr_gid
        except KeyError:
            return []
        members = {*_members(self._group)} - {*excess}
        keeping: dict[str, int] = {}
        for user in _users_of_processes_with(gid):
            if not self._approved(user) and user not in members:
                keeping[user] = keeping.get(user, 0) + 1
        return [
            f"{user} is still in the group {self._group} in {count} running process"
            f"{'es' if count > 1 else ''}: end the session, or the service"
            for user, count in sorted(keeping.items())
        ]

    def perform(self) -> None:
        """Remove the unapproved accounts one after another; in a release, add the removed accounts again."""
        self.memory = {"group": self._group, "removed": [], "added": []}
        for user in self._absent if "restored" in self.settings else ():
            self.memory["added"].append(user)
            self.save()
            system.must("gpasswd", f"--add={user}", "--", self._group)
        if "restored" in self.settings:
            return
        for user in self._excess():
            self.memory["removed"].append(user)
            self.save()
            system.must("gpasswd", f"--delete={user}", "--", self._group)

    def problems(self) -> list[str]:
        """Return accounts that are still in the group, or still missing."""
        if "restored" in self.settings:
            return [f"{user} is not in the group {self._group}" for user in self._absent]
        self.pending = self._beyond_reach([]) + self._running([])
        return [f"{user} is still in the group {self._group}" for user in self._excess()]

    def undo(self) -> list[str]:
        """Add the removed accounts again, if they still exist, and remove the added ones."""
        group = str(self.memory.get("group", ""))
        problems = []
        for user in self.memory.get("removed", ()):
            if user in _members(group) or not _exists(user):
                continue
            try:
                system.must("gpasswd", f"--add={user}", "--", group)
            except Failed as error:
                problems.append(str(error))
        for user in self.memory.get("added", ()):
            if user in _members(group):
                try:
                    system.must("gpasswd", f"--delete={user}", "--", group)
                except Failed as error:
                    problems.append(str(error))
        return problems

    def found(self, known: Collection[str]) -> Mapping[str, Any]:
        """Return the present members of the group."""
        return {self._group: _members(self._group)} if self._group not in known else {}

    @classmethod
    def as_found(cls, memory: Mapping[str, Any], found: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return stored data of a run without accounts that joined the group after the first run."""
        removed = memory.get("removed", ())
        first = found.get(str(memory.get("group")), removed)
        return {**memory, "removed": [user for user in removed if user in first]}

    @classmethod
    def subjects(cls, memory: Mapping[str, Any]) -> frozenset[str]:
        """Return the removed accounts."""
        return frozenset(map(str, memory.get("removed", ())))

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:
        """Return the settings that add the removed accounts again, if they still exist."""
        out: dict[str, str] = {}
        for each in begun:
            for user in each.memory.get("removed", ()):
                out[user] = str(each.memory["group"])
            for user in each.memory.get("added", ()):
                out.pop(user, None)
        group = next(reversed(list(out.values())), "")
        restored = [user for user in out if out[user] == group]
        if not restored or not cls._valid.fullmatch(group):
            return Former(None)
        left = [f"{user} stays out of the group {other}" for user, other in out.items() if other != group]
        if not system.installed("gpasswd"):
            left += [f"{user} stays out of the group {group}: gpasswd is not installed" for user in restored]
            return Former(None, left=left)
        return Former({"when": united(begun), "group": group, "restored": restored}, left=left)

    def undo_at_boot(self) -> list[str]:
        """Do the same as `undo`, since gpasswd only changes files."""
        return self.undo()


def _members(group: str) -> list[str]:
    """Return the members that /etc/group lists."""
    try:
        with open(_GROUPS, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.rstrip("\n").split(":") for line in file]
    except OSError as error:
        raise Failed(f"{_GROUPS} cannot be read: {error.strerror}") from error
    names = [
        name for fields in lines if len(fields) == 4 and fields[0] == group for name in fields[3].split(",")
    ]
    return list(dict.fromkeys(name for name in names if name))


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _users_of_processes_with(gid: int) -> list[str]:
    """Return the users, except root, of the host's processes (not of containers) that have a group."""
    found = []
    for path in glob.glob("/proc/[0-9]*/status"):
        fields: dict[str, Any] = {}
        for line in system.read(path).splitlines():
            name, _separator, value = line.partition(":")
            fields[name] = value.split()
        uid = int((fields.get("Uid") or ["0"])[0])
        if uid == 0 or len(fields.get("NSpid") or ()) > 1:
            continue
        if str(gid) in (*fields.get("Groups", ()), *fields.get("Gid", ())):
            found.append(_name(uid))
    return found


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
