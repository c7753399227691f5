"""Check how containers are started, restarted, entered and updated, and the use of swarm."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from datetime import datetime

from hardener.checks import check
from hardener.checks.lib import auditrules, fields, policy
from hardener.checks.lib.containers import (
    NO_CONTAINERS,
    SOURCE,
    Container,
    container_check,
    containers,
    every_container,
)
from hardener.checks.lib.local_images import Image, expanded_reference, images
from hardener.checks.lib.rule import Note, Question, judge_all
from hardener.checks.lib.swarmstate import SOURCE as SWARM
from hardener.checks.lib.swarmstate import Service, node_state, services
from hardener.checks.lib.verdicts import count, failed, manual, needs_engine, not_applicable, passed
from hardener.model import Verdict
from hardener.snapshot import FactUnavailable, Snapshot

MAX_RETRIES = 5  # the number in the benchmark
_LONGEST_START = 30 * 60  # seconds

_SSH_SERVERS = frozenset({"dropbear", "dropbearmulti", "sshd", "sshd-auth", "sshd-session", "tinysshd"})


@check("swarm-mode-off")
@needs_engine
def swarm_mode(snapshot: Snapshot) -> Verdict:
    """Check that swarm mode is off, unless the site declares that it should be on."""
    meant = policy.flag(snapshot, "swarm")
    state = node_state(snapshot)
    expected = "swarm mode is inactive, or hardener_policy.swarm is true"
    actual = f"swarm mode is {state}"
    if state == "inactive":
        return passed(expected, actual)
    if meant:
        return passed(expected, f"{actual}, as hardener_policy.swarm allows")
    return failed(expected, f"{actual}, and hardener_policy.swarm is not true")


@check("container-restart-policy")
@needs_engine
def restart_policy(snapshot: Snapshot) -> Verdict:
    """Check that no container restarts without limit, which would hide failures."""
    subjects: tuple[Container | Service, ...] = (*containers(snapshot), *services(snapshot))
    return judge_all(
        subjects,
        _restarts_for_ever,
        expected=f"containers are never restarted, or only on failure and at most {MAX_RETRIES} times",
        no_subjects=NO_CONTAINERS,
    )


def _restarts_for_ever(subject: Container | Service) -> Iterator[str]:
    if isinstance(subject, Service):
        restart = fields.table(subject.task, "RestartPolicy", SWARM)
        condition = fields.text(restart, "Condition", SWARM) or "any"
        retries = fields.number(restart, "MaxAttempts", SWARM)
    else:
        restart = fields.table(subject.host_config, "RestartPolicy", SOURCE)
        condition = fields.text(restart, "Name", SOURCE) or "no"
        retries = fields.number(restart, "MaximumRetryCount", SOURCE)
    if condition == "on-failure":
        if not 0 < retries <= MAX_RETRIES:
            yield f"is restarted on failure {f'up to {retries} times' if retries > 0 else 'without limit'}"
    elif condition not in {"no", "none"}:
        yield f"is restarted without limit (restart policy {condition})"


@check("container-health-running")
@needs_engine
def health(snapshot: Snapshot) -> Verdict:
    """Check that every running container has a health check that reports healthy."""
    return every_container(
        snapshot,
        _health,
        expected="every running container reports itself healthy",
        only=lambda container: container.running,
        no_subjects="no container is running",
    )


def _health(container: Container) -> Iterator[str]:
    state = fields.required(container.inspect, "State", SOURCE)
    status = fields.text(fields.table(state, "Health", SOURCE), "Status", SOURCE)
    if status in {"", "none"}:
        yield "has no health check"
    elif status == "starting":
        limit, since = _longest_start(container), _started(container)
        if since is not None and since > limit:
            yield f"has been starting for {_minutes(since)}, more than the allowed {_minutes(limit)}"
        else:
            yield Note("is starting: its health check has not decided yet")
    elif status != "healthy":
        yield f"is {status}"


def _longest_start(container: Container) -> float:
    """Return the seconds after which a container that is still starting is judged as failing."""
    declared = fields.table(container.config, "Healthcheck", SOURCE)
    retries = fields.number(declared, "Retries", SOURCE) or 3  # the engine's defaults
    interval = fields.number(declared, "Interval", SOURCE) / 1e9 or 30
    begin = fields.number(declared, "StartPeriod", SOURCE) / 1e9
    return min(_LONGEST_START, 3 * (begin + retries * interval))


def _started(container: Container) -> float | None:
    """Return the seconds from the start of the container to the snapshot."""
    state = fields.required(container.inspect, "State", SOURCE)
    try:
        # The engine writes nine digits of a second, which Python does not accept.
        began = datetime.fromisoformat(re.sub(r"\.\d+", "", fields.text(state, "StartedAt", SOURCE)))
        now = datetime.fromisoformat(container.snapshot.collected_at)
        return (now - began).total_seconds()
    except (TypeError, ValueError):
        return None


def _minutes(seconds: float) -> str:
    return count(round(seconds / 60), "minute") if seconds >= 120 else count(round(seconds), "second")


@container_check("container-no-sshd", expected="no container runs an SSH server")
def _sshd(container: Container) -> Iterator[str]:
    if not container.running:
        command = (container.inspect.get("Path") or "", *fields.texts(container.inspect, "Args", SOURCE))
        words = [word for argument in command for word in str(argument).split()]
        if found := _ssh_servers(words):
            yield f"is set to start {', '.join(found)}"
        return
    container.fact("processes")
    facts = container.facts or {}
    processes = fields.rows(facts, "processes", SOURCE)
    if found := _ssh_servers([str(process.get(key)) for process in processes for key in ("exe", "comm")]):
        yield f"runs {', '.join(found)}"
    elif not container.shares("net") and 22 in _tcp_ports(container):
        # By port, whatever the name. In the host's namespace port 22 may belong to the host.
        yield "listens on port 22"
    elif facts.get("processes_truncated", container.fact("processes_total") > len(processes)):
        raise FactUnavailable(
            SOURCE, f"only {len(processes)} different processes of {container.name} were collected"
        )


def _ssh_servers(programs: Sequence[str]) -> list[str]:
    # A program replaced on disk appears as "/usr/sbin/sshd (deleted)"; comm can be "sshd: root".
    names = {posixpath.basename(program.removesuffix(" (deleted)")).partition(":")[0] for program in programs}
    return sorted(names & _SSH_SERVERS)


def _tcp_ports(container: Container) -> set[int]:
    return {
        fields.number(socket, "port", SOURCE)
        for socket in fields.rows(container.facts or {}, "listening", SOURCE)
        if str(socket.get("proto")).startswith("tcp")
    }


@check("exec-not-privileged")
@needs_engine
def exec_privileged(snapshot: Snapshot) -> Verdict:
    """Ask a person to search the audit records for ``--privileged``: engines keep no such events."""
    return _executions(snapshot, "docker exec --privileged")


@check("exec-not-root-user")
@needs_engine
def exec_root(snapshot: Snapshot) -> Verdict:
    """Ask a person to search the audit records for exec as root; list unexpected root processes."""
    return _executions(snapshot, "docker exec --user root")


def _executions(snapshot: Snapshot, command: str) -> Verdict:
    everyone = containers(snapshot)
    if not everyone:
        return not_applicable(NO_CONTAINERS)
    facts = [_audited(snapshot)]
    for container in everyone:
        if container.error:
            facts.append(f"container {container.name}: could not be read: {container.error}")
            continue
        sessions = fields.texts(container.inspect, "ExecIDs", SOURCE)
        if sessions:
            facts.append(f"container {container.name}: {count(len(sessions), 'exec session')} open now")
        facts += [f"container {container.name}: {line}" for line in _root_guests(container)]
    return manual(
        f"{command} is not used",
        f"search the host's audit records for {command}: the engine keeps no record of it",
        evidence=facts,
        checked=len(everyone),
    )


def _audited(snapshot: Snapshot) -> str:
    """Describe whether the kernel audits runs of the client; other clients of the API are not covered."""
    client = snapshot.fact("engine").get("binaries", {}).get("docker")
    if not client:
        return "there is no docker client on this host; programs that use the API leave no audit record"
    try:
        loaded = snapshot.fact("audit.loaded")
    except FactUnavailable as missing:
        return f"whether runs of {client} are audited is not known: {missing.reason}"
    rules = auditrules.parse(fields.texts(loaded, "rules", "audit.loaded"))
    enabled = fields.table(loaded, "status", "audit.loaded").get("enabled")
    audited = bool(enabled) and not rules.uncovered(client, "x")
    return f"runs of {client} are {'audited: ausearch shows them' if audited else 'not audited by any rule'}"


def _root_guests(container: Container) -> Iterator[str]:
    """Describe root processes in a container whose first process is not root (exec, set-uid, init)."""
    if not container.running or not container.fact("uid"):
        return
    for process in fields.rows(container.facts or {}, "processes", SOURCE):
        if process.get("uid") == 0:
            yield f"runs {process.get('comm')} as root, but its first process as uid {container.fact('uid')}"


@check("image-latest-pulled")
@needs_engine
def latest_pulled(snapshot: Snapshot) -> Verdict:
    """Check that containers run the image that their tag names on this host; a person asks the registry."""
    current = {expanded_reference(tag): image for image in images(snapshot) for tag in image.tags}

    def judge(container: Container) -> Iterator[str]:
        reference = fields.text(container.config, "Image", SOURCE)
        if "@" in reference or reference.startswith("sha256:"):
            yield Question(f"is pinned to {reference}")
            return
        image = current.get(expanded_reference(reference))
        if image is None:
            yield f"runs an image that the tag {reference} no longer names"
        elif image.id != container.inspect.get("Image"):
            yield f"runs another image than the tag {reference} names now (built {image.created})"
        else:
            yield Question(f"runs {reference}, built {image.created}, {_origin(image)}")

    return every_container(
        snapshot,
        judge,
        expected="every container runs the newest image of its tag",
        question="check whether each container runs the newest image of the registry",
    )


def _origin(image: Image) -> str:
    return image.digests[0] if image.digests else "from no registry"
