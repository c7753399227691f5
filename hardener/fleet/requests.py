"""Send one request to hosts: the playbook, action and variables of each command, and its typed answers.

    with requests.collect(fleet, folder) as answers:
        ...                             # Ansible needs half a second to start: use it
        for collected in answers.each(watcher):
            ...
    answers.outcomes                    # host -> how it ended, every host of the inventory

A new request is a function here, with its playbook and its action.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardener.errors import HardenerError
from hardener.fleet.answers import Answer, Answers, ChangeAnswer, Collected
from hardener.fleet.events import State, TaskResult
from hardener.model import Impact

if TYPE_CHECKING:
    from hardener.activity import HostActivity
    from hardener.fleet.fleet import Fleet
    from hardener.plan import Plan
    from hardener.planfile import Reviewed
    from hardener.scan.record import Scan


_WINDOW = "window"  # the action that requires an open maintenance window


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The greatest impact of a transaction, its confirmation time, and the accepted losses.

    By default they are those of the inventory.
    """

    allow: Impact | None = None
    confirm_timeout: int | None = None
    accept_losses: Sequence[str] = ()

    def variables(self) -> dict[str, object]:
        """Return the limits as variables of the playbook."""
        values = {
            "converge_allow": self.allow and self.allow.value,
            "converge_confirm_timeout": self.confirm_timeout,
            "converge_accept_losses": list(self.accept_losses) or None,
        }
        return {name: value for name, value in values.items() if value is not None}


def collect(fleet: Fleet, folder: Path, *, socket: str = "", wishes: bool = False) -> Answers[Collected]:
    """Request the snapshots of all hosts.

    Args:
        fleet: the hosts.
        folder: where the snapshots arrive, a file each.
        socket: the engine's socket; empty where the hosts find it.
        wishes: return also the roles of which the inventory sets variables.
    """
    asked: dict[str, object] = {"collect_wishes": True} if wishes else {}
    variables = {"collect_dest": str(folder), **asked, **_engine(socket)}
    return Answers(fleet.run("audit", variables=variables), "collect", _collected)


def _engine(socket: str) -> dict[str, str]:
    """Return the variable with the engine's socket; none if it is empty, so that the inventory's counts."""
    return {"collect_socket": socket} if socket else {}


def _collected(result: TaskResult) -> Collected | None:
    if "snapshot" not in result.data:
        return None
    return Collected(
        result.host, Path(result.data["snapshot"]), tuple(map(str, result.data.get("wishes", ())))
    )


def harden(
    fleet: Fleet,
    plans: Sequence[Plan],
    limits: Limits,
    *,
    reviewed: Mapping[str, Reviewed] | None = None,
    check: bool,
    differences: bool,
) -> Answers[ChangeAnswer]:
    """Request that hosts carry out their plans.

    Args:
        fleet: the hosts.
        plans: what to do on which.
        limits: what it may cost.
        reviewed: the plans as a person has reviewed them; a host refuses what is not exactly that.
        check: change nothing, only predict.
        differences: whether the watcher is told what changes.
    """
    hosts = [plan.host for plan in plans]
    variables = {**limits.variables(), "harden_plan": {plan.host: plan.variables for plan in plans}}
    if any(plan.wishes or plan.only_applied for plan in plans):
        variables["converge_wishes"] = {
            "inventory": fleet.inventory_name,
            "roles": {plan.host: plan.wishes for plan in plans if not plan.only_applied},
            "guarded": {plan.host: plan.guarded for plan in plans} if reviewed is None else {},
            "if_applied": any(plan.only_applied for plan in plans),
            "reviewed": reviewed is not None,
        }
    if any(plan.spared for plan in plans):
        variables["harden_spared"] = {plan.host: list(plan.spared) for plan in plans}
    if reviewed is not None:
        variables["harden_plan"] = {host: reviewed[host].variables for host in hosts}
        variables["harden_reviewed"] = {
            host: {"digest": reviewed[host].digest, "allow": reviewed[host].allow.value} for host in hosts
        }
    # The differences belong to a prediction even if they are not shown.
    run = fleet.run("harden", variables=variables, check=check, diff=check or differences)
    return Answers(run, "converge", _change, hosts=hosts, first=_WINDOW, differences=differences)


def install(
    fleet: Fleet, hosts: Sequence[str], limits: Limits, *, check: bool, differences: bool
) -> Answers[ChangeAnswer]:
    """Request the installation of Docker on some hosts, configured before its first start."""
    variables = {**limits.variables(), "provision_hosts": list(hosts), "harden_plan": {}}
    run = fleet.run("provision", variables=variables, check=check, diff=differences)
    return Answers(
        run, "converge", _change, hosts=hosts, first=_WINDOW, last="set_fact", differences=differences
    )


def roll_back(
    fleet: Fleet, run_id: str, *, listing: bool, check: bool, differences: bool
) -> Answers[ChangeAnswer]:
    """Request a rollback of the last run, or of one run and all later ones; or only a list of the runs."""
    variables: dict[str, object] = {"rollback_run": run_id, "rollback_list": listing}
    run = fleet.run("rollback", variables=variables, check=check, diff=differences)
    return Answers(run, "rollback", _change, differences=differences)


def release(
    fleet: Fleet, role: str, limits: Limits, *, even_unsafe: bool, check: bool, differences: bool
) -> Answers[ChangeAnswer]:
    """Request the release of every host, or of the documents of one role."""
    variables = {**limits.variables(), "release_role": role, "release_even_unsafe": even_unsafe}
    run = fleet.run("release", variables=variables, check=check, diff=differences)
    return Answers(run, "release", _change, first=_WINDOW, differences=differences)


def _change(result: TaskResult) -> ChangeAnswer | None:
    if result.state is State.SKIPPED:
        return None
    return ChangeAnswer(result.host, result.state, result.reason, result.data)


@dataclass(frozen=True, slots=True)
class ScanAnswer:
    """The result of a scan on a host; ``problem`` says why it is unreadable."""

    host: str
    record: Scan | None
    raw: Any = None
    problem: str = ""


def scan(
    fleet: Fleet, *, images: bool, cves: bool, openscap: bool, reports: Sequence[Mapping[str, Any]]
) -> Answers[ScanAnswer]:
    """Request a comparison of packages with the security index of their release.

    Args:
        fleet: the hosts.
        images: scan the images of their engines too.
        cves: name the CVE ids that updates close.
        openscap: have OpenSCAP evaluate the hosts too.
        reports: of other scanners, to be kept on the hosts that have the image.
    """
    variables: dict[str, object] = {
        "vulnerability_scan_images": images,
        "vulnerability_scan_cves": cves,
        "vulnerability_scan_openscap": openscap,
        "vulnerability_scan_imports": list(reports),
    }
    return Answers(fleet.run("scan", variables=variables), "vulnerability_scan", _scanned)


def _scanned(result: TaskResult) -> ScanAnswer | None:
    from hardener.scan.record import BadRecord, parse  # noqa: PLC0415

    if result.state is not State.OK:
        return None
    raw = result.data.get("scan")
    try:
        return ScanAnswer(result.host, parse(raw), raw)
    except BadRecord as error:
        return ScanAnswer(result.host, None, problem=str(error))


def verify_images(fleet: Fleet, policy: Mapping[str, Any]) -> Answers[Answer]:
    """Request a verification of images by a policy."""
    run = fleet.run("verify_images", variables={"content_trust_policy": policy})
    return Answers(run, "verify_images", _verified)


def _verified(result: TaskResult) -> Answer | None:
    return Answer(result.host, result.state, data=result.data) if "images" in result.data else None


@dataclass(frozen=True, slots=True)
class ActivityAnswer:
    """The denials of a host's containers; ``problem`` says why the answer is unreadable."""

    host: str
    activity: HostActivity | None
    problem: str = ""


def listen(fleet: Fleet, seconds: int) -> Answers[ActivityAnswer]:
    """Request that hosts observe for some seconds which accesses their containers are denied."""
    return Answers(fleet.run("activity", variables={"activity_seconds": seconds}), "activity", _observed)


def _observed(result: TaskResult) -> ActivityAnswer | None:
    from hardener.activity import read  # noqa: PLC0415

    if result.state is not State.OK:
        return None
    try:
        return ActivityAnswer(result.host, read(result.host, result.data))
    except HardenerError as error:
        return ActivityAnswer(result.host, None, str(error))


def stage(fleet: Fleet, playbook: str, values: Mapping[str, object], *, socket: str = "") -> Answers[Answer]:
    """Request a stage of a recording (``record``) or a proof (``prove``).

    Args:
        fleet: the host.
        playbook: ``record`` or ``prove``.
        values: the parameters of the stage.
        socket: the engine's socket; empty where the host finds it.
    """
    variables = {**{f"{playbook}_{name}": value for name, value in values.items()}, **_engine(socket)}
    return Answers(fleet.run(playbook, variables=variables), playbook, _stage_done)


def _stage_done(result: TaskResult) -> Answer:
    return Answer(result.host, result.state, result.reason, result.data)
