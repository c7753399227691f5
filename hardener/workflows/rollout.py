"""Change hosts batch by batch: each is checked before the next begins; too many failures stop the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from hardener.batches import Batch, Batches
from hardener.comparison.finding import ChangeKind, finding_changes
from hardener.errors import HardenerError
from hardener.fleet import Fleet
from hardener.fleet.inventory_cli import members
from hardener.history import AssessmentStore
from hardener.model import Status
from hardener.text import line
from hardener.workflows.change_run import ChangeRun
from hardener.workflows.options import Target
from hardener.workflows.remediate import RemediationResult

_NAMED = 3


class RolloutListener(Protocol):
    """Receives the progress of a run that is divided into batches."""

    def divided(self, batches: Sequence[Batch], most_failures: int) -> None:
        """Report the batches, and how many hosts may fail."""

    def batch_begins(self, number: int, batches: int, batch: Batch) -> None:
        """Report that the change of a batch begins."""

    def stopped(self, reason: str) -> None:
        """Report that no further batch begins."""

    def not_begun(self, hosts: Mapping[str, str]) -> None:
        """Report the hosts whose change was never begun, with reasons."""

    def resumable(self, run: str) -> None:
        """Report that the run is unfinished, and that another run can continue it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """Changes hosts for a workflow, in batches or at once.

    Args:
        canaries: the hosts of the group of canaries, see ``canary_group``.
        change_run: reaches the hosts, and writes the journal of the run.
        batches: how the hosts are divided, and how many may fail.
        check: nothing is changed, so there is one batch.
        listener: receives the progress.
    """

    canaries: frozenset[str]
    change_run: ChangeRun
    batches: Batches
    check: bool
    listener: RolloutListener

    def change(
        self,
        hosts: Sequence[str],
        work: Callable[[Fleet, Sequence[str]], RemediationResult],
        *,
        before: AssessmentStore,
        assess: Callable[[Fleet], AbstractContextManager[AssessmentStore]],
    ) -> RemediationResult:
        """Change hosts that were audited, and audit each batch again before the next.

        Args:
            hosts: the hosts to change, in inventory order.
            work: changes some hosts, and waits until each is confirmed or has failed.
            before: the audit of all hosts before the change.
            assess: audits a fleet.
        """
        if not self.batches.is_divided:
            return self.at_once(hosts, work)

        def look(fleet: Fleet, some: Sequence[str]) -> Mapping[str, str]:
            with assess(fleet) as after:
                return dict(_worse(before, after, some))

        return self.run(hosts, work, population=len(before), failed=before.unreachable, look=look)

    def at_once(
        self, hosts: Sequence[str], work: Callable[[Fleet, Sequence[str]], RemediationResult]
    ) -> RemediationResult:
        """Change all hosts in one batch, without a limit."""
        return self._report_not_begun(self._logged(work, self.change_run.fleet, hosts))

    def run(
        self,
        hosts: Sequence[str],
        work: Callable[[Fleet, Sequence[str]], RemediationResult],
        *,
        population: int,
        failed: Mapping[str, str],
        look: Callable[[Fleet, Sequence[str]], Mapping[str, str]],
    ) -> RemediationResult:
        """Change hosts batch by batch; in check mode, predict for all hosts at once.

        Args:
            hosts: the hosts to change, in inventory order.
            work: changes some hosts, and waits until each is confirmed or has failed.
            population: the number of hosts of the whole run, of which a percentage may fail.
            failed: host to reason: the hosts that could not be reached before the first batch.
            look: audits some hosts again, and returns those that are worse than before, with reasons; not
                called after the last batch, since the audit at the end of the run follows.
        """
        batches = self.batches.divide(hosts, lambda _group: self.canaries)
        most = self.batches.most_failures(population)
        self.listener.divided(batches, most)
        fleet = self.change_run.fleet
        if self.check:
            return work(fleet, hosts)
        done = roll_out(
            batches,
            most_failures=most,
            failed=failed,
            carry_out=lambda batch: self._logged(work, fleet.only(batch.hosts), batch.hosts),
            look=lambda some: look(fleet.only(some), some),
            listener=self.listener,
        )
        return self._report_not_begun(done)

    def _logged(
        self,
        work: Callable[[Fleet, Sequence[str]], RemediationResult],
        fleet: Fleet,
        hosts: Sequence[str],
    ) -> RemediationResult:
        self.change_run.begun(hosts)
        result = work(fleet, hosts)
        self.change_run.ended(hosts, result)
        return result

    def _report_not_begun(self, result: RemediationResult) -> RemediationResult:
        if result.not_begun:
            self.listener.not_begun(result.not_begun)
        return result


def canary_group(target: Target, batches: Batches) -> frozenset[str]:
    """Return the hosts of the group of canaries; empty if canaries are given as a number.

    A run asks for them before its first audit: a wrong group in a timer must not be noticed only on the day
    on which there is something to repair.

    Raises:
        HardenerError: the inventory has no such group.
    """
    group = batches.canary
    if not group or group.isdecimal():
        return frozenset()
    groups = members(target.inventory).groups
    if group not in groups:
        raise HardenerError(
            f"--canary {line(group)}: the inventory has no such group",
            hint="give one of its groups, or a number of hosts",
        )
    return groups[group]


def roll_out(
    batches: Sequence[Batch],
    *,
    most_failures: int,
    failed: Mapping[str, str],
    carry_out: Callable[[Batch], RemediationResult],
    look: Callable[[Sequence[str]], Mapping[str, str]],
    listener: RolloutListener,
) -> RemediationResult:
    """Change batch after batch until all are done or too many hosts have failed.

    A batch whose hosts all fail does not end the run by itself: only the limit does.

    Args:
        batches: the batches, in order.
        most_failures: how many hosts may fail.
        failed: the hosts that failed before the first batch.
        carry_out: changes a batch, and waits until each of its hosts is confirmed or has failed.
        look: checks hosts that were changed, and returns those that have failed since.
        listener: receives the progress.
    """
    result = RemediationResult()
    failed = dict(failed)
    stop = _too_many(failed, most_failures)
    for number, batch in enumerate(batches, 1):
        if stop:
            result += RemediationResult(not_begun=dict.fromkeys(batch.hosts, stop))
            continue
        listener.batch_begins(number, len(batches), batch)
        done = carry_out(batch)
        result += done
        failed |= done.failed
        if number == len(batches):
            break
        begun = [host for host in batch.hosts if host not in done.not_begun]
        worse = look(begun) if begun else {}
        result = replace(result, failed={**worse, **result.failed})
        failed = {**worse, **failed}
        stop = _too_many(failed, most_failures)
        if not stop and batch.is_canary and done.not_begun:
            stop = f"a canary was not begun: {next(iter(done.not_begun.values()))}"
    if stop:
        listener.stopped(stop)
    return result


def _worse(
    before: AssessmentStore, after: AssessmentStore, hosts: Sequence[str]
) -> Iterator[tuple[str, str]]:
    for old in before.among(hosts):
        if not after.has(old.host):
            yield old.host, "gave no answer after its change"
            continue
        (new,) = after.among([old.host])
        if new.unreachable:
            yield old.host, f"cannot be reached after its change: {new.unreachable}"
            continue
        broken = [
            change.control.slug
            for change in finding_changes(old, new)
            if change.kind is ChangeKind.BROKEN and change.before.verdict.status is Status.PASS
        ]
        if broken:
            yield old.host, f"fails after its change, and passed before: {', '.join(broken)}"


def _too_many(failed: Mapping[str, str], most: int) -> str:
    if len(failed) <= most:
        return ""
    named = "; ".join(f"{line(host)}: {line(why)}" for host, why in list(failed.items())[:_NAMED])
    more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    return f"{len(failed)} failed where --max-fail allows {most} ({named}{more})"
