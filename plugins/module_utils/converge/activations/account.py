"""Create the system account whose subordinate ids containers get."""

from __future__ import annotations

import grp
import pwd
import re
from typing import Any, Callable, Sequence

from .. import system
from ..errors import Refused
from ..planning import Plan
from .interface import Activation, Begun, Former

_LISTS = ("/etc/subuid", "/etc/subgid")


class Account(Activation):
    """Create an account without home, shell and password; setting ``user``: its name."""

    name = "account"
    touches = ()
    action = "create an account"
    known = frozenset({"when", "user"})
    _valid = re.compile(r"[a-z_][a-z0-9_-]{0,31}")

    def prepare(self, plan: Plan) -> None:  # noqa: ARG002 - no file decides whether it is due
        """Mark the activation as due if the account does not exist."""
        if not self._valid.fullmatch(self._user):
            raise Refused(f"activation {self.name}: {self._user!r} is not the name of an account")
        self.reasons = self.problems()
        if self.due and not self.check and not system.installed("useradd"):
            raise Refused("useradd is not installed: install the package passwd (shadow-utils) first")

    @property
    def _user(self) -> str:
        return str(self.settings.get("user", ""))

    def perform(self) -> None:
        """Create the account, in the group of its name if there is one."""
        self.memory = {"made": self._user}
        self.save()
        group = ("--gid", self._user) if _exists(grp.getgrnam, self._user) else ("--user-group",)
        place = ("--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")
        system.must("useradd", "--system", *group, *place, "--", self._user)

    def problems(self) -> list[str]:
        """Return that the account is missing."""
        return [] if _exists(pwd.getpwnam, self._user) else [f"the account {self._user} does not exist"]

    def undo(self) -> list[str]:
        """Remove the account; it stays if it had ranges before, which userdel would remove too."""
        user = str(self.memory.get("made", ""))
        listed = any(line.startswith(f"{user}:") for path in _LISTS for line in system.read(path).split("\n"))
        if self._valid.fullmatch(user) and _exists(pwd.getpwnam, user) and not listed:
            system.must("userdel", "--", user)
        return []

    def undo_at_boot(self) -> list[str]:
        """Do the same as `undo`, since userdel only changes files."""
        return self.undo()

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:
        """Return no settings: files of containers belong to the account's ids."""
        users = dict.fromkeys(str(each.memory["made"]) for each in begun if each.memory.get("made"))
        found = [user for user in users if _exists(pwd.getpwnam, user)]
        return Former(None, left=[f"the account {user} stays: userdel removes it" for user in found])


def _exists(find: Callable[[str], Any], name: str) -> bool:
    try:
        find(name)
    except KeyError:
        return False
    return True
