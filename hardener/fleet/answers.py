"""Yield the answers of hosts to one request as they arrive, from Ansible's events."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from ansible_collections.hardener.docker.plugins.module_utils.contract import (
    NOT_BEGUN,
    NOT_STANDING,
    REFUSED,
    WOULD_CHANGE,
)

from hardener.fleet.events import Event, Hosts, Outcome, State, TaskResult
from hardener.model import Impact
from hardener.plan import ActivationResult, DocumentResult, FileChange, TransactionResult

if TYPE_CHECKING:
    from hardener.fleet.executor import Execution


class Watcher(Protocol):
    """Receives the events of Ansible while answers arrive."""

    def event(self, event: Event) -> None:
        """Receive an event of Ansible."""

    def difference(self, host: str, difference: Any) -> None:
        """Receive the change that a task made or would make on a host, as Ansible reports it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of an action on a host; ``reason`` says why it failed, empty where it did not."""

    host: str
    state: State
    reason: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """Return the message of the action; empty if it has none, or after a failure."""
        return "" if self.reason else str(self.data.get("msg") or "")

    def texts(self, *keys: str) -> tuple[str, ...]:
        """Return the texts under some keys of the result."""
        return tuple(str(text) for key in keys for text in self.data.get(key) or ())


@dataclass(frozen=True, slots=True)
class ChangeAnswer(Answer):
    """The changes that a transaction made or would make on a host."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Return notes for the user, and steps that the user has to take later."""
        return self.texts("notes", "pending")

    @property
    def rolled_back(self) -> bool:
        """Return whether the transaction was or will be rolled back."""
        return self.data.get("outcome") in NOT_STANDING

    @property
    def would_change(self) -> bool:
        """Return whether the changes are only predicted (check mode)."""
        return self.data.get("outcome") == WOULD_CHANGE

    @property
    def not_begun(self) -> str:
        """Return why the host was not changed: it is outside its maintenance windows; else empty."""
        return str(self.data.get("reason") or "") if self.data.get("outcome") == NOT_BEGUN else ""

    @property
    def nothing_possible(self) -> bool:
        """Return whether the host refused because no step of the plan is possible, which is not a failure."""
        return self.data.get("outcome") == REFUSED and bool(self.data.get("documents"))

    @property
    def result(self) -> TransactionResult:
        """Return what the transaction did, or would do; the action has validated its shape."""
        diffs = {str(each["path"]): str(each.get("prepared", "")) for each in self.data.get("diff") or ()}
        return TransactionResult(
            documents=tuple(map(_document, self.data.get("documents", ()))),
            changes=tuple(
                FileChange(
                    path=str(each["path"]), what=str(each["what"]), diff=diffs.get(str(each["path"]), "")
                )
                for each in self.data.get("changes", ())
            ),
            activations=tuple(map(_activation, self.data.get("activations", ()))),
            notes=self.notes,
            allow=str(self.data.get("allow", "")),
            digest=str(self.data.get("plan", "")),
            reason=str(self.data.get("reason", "")),
        )


def _document(raw: Mapping[str, Any]) -> DocumentResult:
    return DocumentResult(
        name=str(raw["name"]),
        state=str(raw["state"]),
        impact=Impact(raw["impact"]),
        reason=str(raw["reason"]),
        paths=tuple(map(str, raw["paths"])),
        wish=str(raw.get("wish", "")),
        variables=tuple(map(str, raw.get("variables", ()))),
        removed=tuple(map(str, raw.get("removed", ()))),
    )


def _activation(raw: Mapping[str, Any]) -> ActivationResult:
    lists = {
        key: tuple(map(str, raw[key])) for key in ("stops", "stay_down", "recreates", "leaves") if key in raw
    }
    return ActivationResult(
        name=str(raw["name"]),
        action=str(raw["action"]),
        why=tuple(map(str, raw["why"])),
        first=str(raw["first"]) if "first" in raw else None,
        **lists,
    )


@dataclass(frozen=True, slots=True)
class Collected:
    """The snapshot of a host, in a file; and if requested, the roles of which the site sets variables."""

    host: str
    snapshot: Path
    wishes: tuple[str, ...] = ()


_T = TypeVar("_T")


class Answers(Generic[_T]):
    """The answers to one request; entering the context starts Ansible.

    Args:
        run: the playbook.
        action: whose results are answers.
        parse: makes an answer of a result; None where it is none.
        hosts: the hosts that are asked, where these are not all of the inventory.
        last: the action that ends a host, where that is another one.
        first: an action before it whose failure is an answer too.
        differences: whether the watcher is told what changes.
    """

    def __init__(
        self,
        run: Execution,
        action: str,
        parse: Callable[[TaskResult], _T | None],
        *,
        hosts: Sequence[str] | None = None,
        last: str = "",
        first: str = "",
        differences: bool = False,
    ) -> None:
        self._run = run
        self._action = action
        self._parse = parse
        self._hosts = hosts
        self._last = last or action
        self._first = first
        self._differences = differences

    def __enter__(self) -> Self:
        self._run.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run.__exit__(kind, error, trace)

    def each(self, watcher: Watcher, *, failures: bool = True) -> Iterator[_T]:
        """Yield the answers as they arrive; they are complete when Ansible has finished all hosts.

        Args:
            watcher: receives the events.
            failures: whether it receives those of failed hosts, which ``outcomes`` has too.

        Raises:
            HardenerError: Ansible stopped before it got to any host.
        """
        for event in self._run:
            if isinstance(event, TaskResult):
                yield from self._handle(event, watcher, shown=failures or not event.reason)
            elif isinstance(event, Hosts) and self._hosts is not None:
                watcher.event(Hosts(tuple(self._hosts)))
            else:
                watcher.event(event)

    def _handle(self, result: TaskResult, watcher: Watcher, *, shown: bool) -> Iterator[_T]:
        last = result.action == self._last and result.state is not State.SKIPPED
        if shown:
            watcher.event(replace(result, last=last))
        ended = result.action == self._first and result.state is State.FAILED
        if (result.action == self._action or ended) and (answer := self._parse(result)) is not None:
            yield answer
        if self._differences:
            watcher.difference(result.host, result.data.get("diff"))

    @property
    def outcomes(self) -> Mapping[str, Outcome]:
        """Return the outcome of each host in inventory order; complete after all answers."""
        return self._run.outcomes

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """Return the inventory groups of each host, known before its answer; empty unless requested."""
        return self._run.groups

    def all_well(self, hosts: Sequence[str] | None = None) -> bool:
        """Return whether the request succeeded on all hosts, or on the given ones."""
        outcomes = self.outcomes
        return all(outcomes[host].ended_well for host in (outcomes if hosts is None else hosts))
