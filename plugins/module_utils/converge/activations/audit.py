"""Load audit rules."""

from __future__ import annotations

import glob
import os
import re
from typing import NamedTuple, Sequence

from .. import system
from ..errors import Failed, Refused
from ..planning import Plan
from .interface import Activation, Begun, Former

_DELETE = re.compile(r"(?m)^[ \t]*-D[ \t\r]*$")  # -D deletes all rules, as augenrules recognises it


class AuditRulesLoad(Activation):
    """Load the audit rules of /etc/audit/rules.d into the kernel."""

    name = "audit-rules-load"
    touches = ()
    action = "load audit rules"
    known = frozenset({"when", "rules"})

    def prepare(self, plan: Plan) -> None:
        """Mark the activation as due if a rules file changes, or if the kernel lacks a rule."""
        super().prepare(plan)
        if not system.installed("auditctl"):
            if not self.check:
                raise Refused("auditctl is not installed: install the audit daemon (auditd, audit) first")
            self.reasons = self.reasons or ["the rules are not loaded"]
            return
        status = self._status()
        missing = self._missing()
        if missing and not self.due:
            self.reasons = [f"not loaded: {missing[0]}" + _and_more(len(missing) - 1)]
        if status.get("enabled") == "2":
            if self.due:
                self.pending = [
                    "the loaded audit rules are locked: the new ones take effect at the next boot"
                ]
            self.reasons = []
        elif status.get("failure") == "2":
            self.pending = [
                "another rules file sets the failure mode to 2: a full audit backlog would panic this host"
            ]
        if self.due:
            self._refuse_to_add_up()

    def _refuse_to_add_up(self) -> None:
        """Refuse rules files if none of them deletes the loaded rules, since rules would accumulate.

        The kernel refuses duplicates of a rule: such files can be loaded once after a boot, and not again
        when a run is rolled back.

        Raises:
            Refused: none of them does.
        """
        for folder in sorted({os.path.dirname(path) for path in self.settings.get("when", ())}):
            texts = map(system.read, glob.glob(os.path.join(glob.escape(folder), "*.rules")))
            if not any(_DELETE.search(text) for text in texts):
                raise Refused(
                    f"no rules file in {folder} has a line -D: without it, the rules can be loaded only once"
                    " after a boot, and a run that loads them cannot be rolled back: add the line"
                    f" to a file such as {folder}/audit.rules"
                )

    def _status(self) -> dict[str, str]:
        outcome = system.run("auditctl", "-s")
        if outcome.code != 0:
            raise Refused(
                "the kernel's audit system cannot be used here"
                f" (a container, or a kernel without it): {outcome.said}"
            )
        return dict(line.split(None, 1) for line in outcome.output.splitlines() if len(line.split()) >= 2)

    def _missing(self) -> list[str]:
        outcome = system.run("auditctl", "-l")
        if outcome.code != 0:
            raise Failed(f"auditctl -l: {outcome.said}")
        loaded = [audit_rule(line) for line in outcome.output.splitlines()]
        wanted = [(rule, audit_rule(rule)) for rule in self.settings.get("rules", [])]
        return [rule for rule, parsed in wanted if not any(each.includes(parsed) for each in loaded)]

    def perform(self) -> None:
        """Join the rules files and load the result."""
        system.must("augenrules", "--load")

    def problems(self) -> list[str]:
        """Return the rules that the kernel lacks, or does not apply."""
        found = [f"the kernel does not have the audit rule {rule}" for rule in self._missing()]
        if self._status().get("enabled") not in ("1", "2"):
            found.append("auditing is switched off in the kernel: is the audit daemon running?")
        return found

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:
        """Return the settings that load the restored files; none if augenrules is not installed."""
        return super().former(begun) if system.installed("augenrules") else Former(None)

    def undo(self) -> list[str]:
        """Load the restored files; rules that are not in them were not loaded before either."""
        outcome = system.run("augenrules", "--load")
        return [] if outcome.code == 0 else [f"augenrules --load: {outcome.said}"]


class Rule(NamedTuple):
    """A rule for a path; without ``arch``, it is about all system calls."""

    action: str
    path: str
    key: str
    permissions: frozenset[str]
    arch: str

    def includes(self, other: Rule) -> bool:
        """Return whether this rule is the other one, with at least its permissions and architecture."""
        return (
            self[:3] == other[:3] and self.permissions >= other.permissions and self.arch in ("", other.arch)
        )


def audit_rule(line: str) -> Rule:
    """Parse a rule for a path.

    ``auditctl -l`` prints rules in another form than they were given, and the form differs between versions:
    as a watch, with the system calls that a permission stands for, with key=docker or -k docker.
    """
    action, path, key, permissions, arch = "always", "", "", "rwxa", ""
    words = line.split()
    for option, value in zip(words, words[1:]):
        if option in ("-a", "-A"):
            action = "never" if "never" in value.split(",") else "always"
        elif option == "-w":
            path = value
        elif option == "-k":
            key = value
        elif option == "-p":
            permissions = value
        elif option == "-F":
            name, _separator, text = value.partition("=")
            if name in ("path", "dir"):
                path = text
            elif name == "key":
                key = text
            elif name == "perm":
                permissions = text
            elif name == "arch":
                arch = text
    return Rule(action, path.rstrip("/"), key, frozenset(permissions), arch)


def _and_more(count: int) -> str:
    return f" (and {count} more)" if count > 0 else ""
