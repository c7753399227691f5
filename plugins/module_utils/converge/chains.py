"""Compute hardener's packet filter chains, compare them with the loaded ones, and load them atomically.

The wanted rules are loaded in an empty network namespace and printed by the host's own iptables: so they can
be compared, and rules that this host cannot load are found before anything changes. Chains of others are
never declared in the input, and therefore never flushed.
"""

from __future__ import annotations

import ctypes
import json
import os
from contextlib import suppress
from typing import Any, Callable, Iterable, List, Mapping, NamedTuple, Sequence

from ..host import limits
from . import system
from .errors import Failed, Refused

USER = "DOCKER-USER"
_OURS = "HARDENER-"
_CLONE_NEWNET = 0x40000000
_LONGEST_TRIAL = 120  # seconds for loading rules in the empty namespace

Tables = Mapping[str, Mapping[str, List[str]]]  # table -> chain -> its rules as iptables-save prints them


class Hook(NamedTuple):
    """A jump from another program's chain to ``child``; kept while ``because_of`` (or ``child``) exists."""

    table: str
    parent: str
    child: str
    last: bool = False
    because_of: str = ""

    @property
    def rule(self) -> str:
        """Return the rule as iptables-save prints it."""
        return f"-A {self.parent} -j {self.child}"

    @property
    def ours(self) -> bool:
        """Return whether hardener may remove the jump; the jump to DOCKER-USER is Docker's."""
        return self.child.startswith(_OURS)

    def wanted(self, tables: Tables) -> bool:
        """Return whether the jump is wanted: the chain that it depends on exists."""
        return (self.because_of or self.child) in tables.get(self.table, {})

    def in_place(self, tables: Tables) -> bool:
        """Return whether the jump is present once, and last or before all rules that accept packets.

        When Docker starts, it appends rules that drop packets between containers of one bridge (icc). After
        the last jump they are harmless where the chain of the jump accepts only replies, by its first rule.
        """
        rules = tables.get(self.table, {}).get(self.parent, [])
        if rules.count(self.rule) != 1:
            return False
        place = rules.index(self.rule)
        if self.last:
            after = rules[place + 1 :]
            chain = tables.get(self.table, {}).get(self.child, [])
            return not after or all(rule.endswith("-j DROP") for rule in (*after, *chain[1:]))
        return not any(map(_lets_through, rules[:place]))


def _lets_through(rule: str) -> bool:
    """Return whether packets that match a rule skip the rules after it: ACCEPT, RETURN or goto."""
    return rule.endswith(("-j ACCEPT", "-j RETURN")) or " -g " in rule


HOOKS = (
    Hook("filter", "INPUT", "HARDENER-INPUT"),
    Hook("filter", "FORWARD", USER, because_of="HARDENER-DOCKER"),
    Hook("filter", USER, "HARDENER-DOCKER"),
    Hook("filter", "FORWARD", "HARDENER-FORWARD", last=True),  # packets that no rule before it has accepted
    Hook("raw", "PREROUTING", "HARDENER-PREROUTING"),
)


def parse(text: str) -> dict[str, dict[str, list[str]]]:
    """Parse chains and rules in the format of iptables-save."""
    tables: dict[str, dict[str, list[str]]] = {}
    chains: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            chains = tables.setdefault(line[1:].strip(), {})
        elif line.startswith(":"):
            chains.setdefault(line[1:].split()[0], [])
        elif line.startswith("-A "):
            chains.setdefault(line.split()[1], []).append(line.rstrip())
    return tables


def ours(tables: Tables) -> dict[str, dict[str, list[str]]]:
    """Return the chains of hardener."""
    found = {
        table: {name: list(rules) for name, rules in chains.items() if name.startswith(_OURS)}
        for table, chains in tables.items()
    }
    return {table: chains for table, chains in found.items() if chains}


def differences(loaded: Tables, wanted: Tables) -> list[str]:
    """Describe how the loaded chains differ from the wanted ones."""
    found = []
    have, want = ours(loaded), ours(wanted)
    for table in [*want, *(table for table in have if table not in want)]:
        for chain in {**want.get(table, {}), **have.get(table, {})}:
            one, other = have.get(table, {}).get(chain), want.get(table, {}).get(chain)
            if one is None:
                found.append(f"{chain} is not loaded")
            elif other is None:
                found.append(f"{chain} is still loaded")
            elif one != other:
                found.append(f"the loaded {chain} differs from its file")
    found += [
        f"{hook.parent} does not jump to {hook.child}"
        f" {'last' if hook.last else 'before rules that accept packets'}"
        for hook in HOOKS
        if hook.wanted(want) and not hook.in_place(loaded)
    ]
    return found


def compose(loaded: Tables, wanted: Tables, hooks: Iterable[str] | None = None) -> str:
    """Return input for iptables-restore that replaces only hardener's chains, and the jumps to them.

    Args:
        loaded: what is loaded now.
        wanted: our chains; those that are loaded and not here go.
        hooks: rules of the hooks that are to be there; None for all that the chains need.
    """
    parts = []
    want, have = ours(wanted), ours(loaded)
    for table in dict.fromkeys([*want, *have]):
        mine, present = want.get(table, {}), loaded.get(table, {})
        made = {table: {**present, **mine}}
        gone = sorted(set(have.get(table, {})) - set(mine))
        lines = [f":{chain} - [0:0]" for chain in (*mine, *gone)]
        jumps: list[str] = []
        for hook in (hook for hook in HOOKS if hook.table == table):
            old = [deletion(rule) for rule in present.get(hook.parent, []) if rule == hook.rule]
            if hook.wanted(want) and (hooks is None or hook.rule in hooks):
                if hook.parent == USER and USER not in present:
                    lines.append(f":{USER} - [0:0]")
                if not hook.in_place(made):
                    jumps += [*old, hook.rule if hook.last else f"-I {hook.parent} 1 -j {hook.child}"]
            elif hook.ours:
                jumps += old
        rules = [rule for chain in mine.values() for rule in chain]
        lines += [*jumps, *rules, *(f"-X {chain}" for chain in gone)]
        parts.append("\n".join([f"*{table}", *lines, "COMMIT", ""]))
    return "".join(parts)


def deletion(rule: str) -> str:
    """Return the command that deletes a rule."""
    return rule.replace("-A", "-D", 1)


# --- the host's iptables ------------------------------------------------------------------------------------


def dump(tool: str) -> dict[str, dict[str, list[str]]]:
    """Return the loaded chains.

    Raises:
        Failed: they cannot be listed.
    """
    return parse(system.must(f"{tool}-save"))


def tried(tool: str, text: str) -> dict[str, dict[str, list[str]]]:
    """Load rules in an empty network namespace, and return them as iptables-save prints them there.

    Raises:
        Refused: the host cannot load them.
    """
    if not system.installed(f"{tool}-restore"):
        raise Refused(f"{tool} is not installed: install it (package iptables)")

    def load_and_print() -> Any:
        outcome = restore(tool, text)
        return {"error": outcome.said} if outcome.code else {"tables": dump(tool)}

    answer = _in_empty_namespace(load_and_print)
    if "tables" not in answer:
        raise Refused(f"this host cannot load the rules: {tool}-restore: {answer['error']}")
    tables: dict[str, dict[str, list[str]]] = answer["tables"]
    return tables


def restore(tool: str, text: str) -> system.Outcome:
    """Give a text to iptables-restore: each table is loaded completely or not at all."""
    return system.run(f"{tool}-restore", "--noflush", "--wait", "10", given=text)


def load(tool: str, wanted: Tables, hooks: Sequence[str] | None = None) -> None:
    """Load our chains in one step; retry once, as others may have changed the rules in between.

    Raises:
        Failed: they cannot be loaded.
    """
    for last in (False, True):
        text = compose(dump(tool), wanted, hooks)
        outcome = restore(tool, text) if text else None
        if outcome is None or outcome.code == 0:
            return
        if last:
            raise Failed(f"{tool}-restore: {outcome.said or f'ended with code {outcome.code}'}")


def _in_empty_namespace(work: Callable[[], Any]) -> Any:
    """Call a function in an empty network namespace; return its result, or an object with ``error``."""
    reader, writer = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            limits.become_helper(parent, _LONGEST_TRIAL)
            os.close(reader)
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(_CLONE_NEWNET) != 0:
                answer: Any = {"error": f"no network namespace: {os.strerror(ctypes.get_errno())}"}
            else:
                answer = work()
        except Exception as error:  # report every exception to the waiting process
            answer = {"error": str(error)}
        finally:
            with suppress(OSError):
                os.write(writer, json.dumps(answer).encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        text = file.read()
    os.waitpid(pid, 0)
    return json.loads(text) if text else {"error": "it was killed"}
