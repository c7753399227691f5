"""Run a job on the nodes of a Receptor mesh: each slice is a unit of work, ``ansible-runner worker``.

Receptor keeps a unit "running" when its node has died, so its state is not believed: the worker sends a sign
of life every few seconds, and a slice without one for its lease is lost. Snapshots are handed on when the
artifacts of their slice have arrived.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Annotated, Any, Self
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from hardener.bounded import Archive, parse, values
from hardener.decisions.document import DocumentError, read
from hardener.decisions.entries import validated
from hardener.errors import HardenerError
from hardener.fleet.events import Event, Hosts, Idle, Outcome, State, TaskResult, translate
from hardener.fleet.executor import Execution, Job
from hardener.fleet.failure import failure
from hardener.fleet.mesh_job import DESTINATION, SNAPSHOTS, Inventory, UnitOutput, read_inventory, transmit
from hardener.fleet.receptor import Receptor, ReceptorError
from hardener.fleet.run import outcome_of
from hardener.fleet.sliced import SlicedExecution
from hardener.text import LONGEST, line
from hardener.workfolder import temporary_folder

_MOST = 50  # hosts of a slice, where the user does not say: what a lost one costs
_SIGNS = 4  # signs of life within a lease
# Limits of what a node sends. Those of a host alone lose its result, since a host can cause them.
_EVENT_VALUES = 1_000_000
_EVENT_LEVELS = 120  # those of a result, and of the event around it
_OF_A_HOST = 16 << 20  # bytes of the events of a host: a node drops results of more than seven million
_HELD = 1 << 20  # bytes of an event that is held until the artifacts arrive
_EVENTS, _FILES, _SIZE = (1 << 30, 64 << 20), (10_000, 1_000), (256 << 20, 64 << 20)  # for all, and a host
_PRINTED_LINES = 1000


# They are words of Receptor's control protocol.
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,252}$")]


class MeshFile(BaseModel):
    """The connection settings of a mesh (docs/guides/slices.md).

    ``socket`` is the control socket of the node on this machine, ``work_type`` what runs ``ansible-runner
    worker`` there, ``nodes`` by default every node that offers this work, ``tls_client`` a tls-client of the
    node on this machine, where the others require it, ``lease`` the seconds without a sign of life after
    which a slice is lost.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, frozen=True)

    socket: Annotated[str, Field(min_length=1, max_length=1000)] = "/run/receptor/receptor.sock"
    work_type: _Name = "ansible-runner"
    nodes: tuple[_Name, ...] = ()
    tls_client: _Name | None = None
    lease: Annotated[int, Field(ge=10, le=3600)] = 60

    @model_validator(mode="after")
    def _nodes_are_named_once(self) -> MeshFile:
        if len(set(self.nodes)) < len(self.nodes):
            raise ValueError("the list names a node twice")
        return self


def mesh_file(path: Path) -> MeshFile:
    """Read the settings of a mesh from the file of ``--mesh``.

    Raises:
        HardenerError: it cannot be read, or does not describe a mesh.
    """
    try:
        return validated(read(path), MeshFile, context={})
    except DocumentError as error:
        more = len(error.problems) - 1
        raise HardenerError(error.problems[0].at(path), hint=f"and {more} more" if more else "") from None


class MeshExecutor:
    """Runs each job in slices on the nodes of a mesh.

    Args:
        mesh: how it is reached.
        size: the number of hosts of a slice; None divides the hosts among the nodes.
    """

    def __init__(self, mesh: MeshFile, *, size: int | None = None) -> None:
        self._mesh = mesh
        self._size = size
        self._receptor = Receptor(mesh.socket)

    def start(self, job: Job) -> Execution:
        """Return the execution of a job; entering its context starts it.

        Raises:
            HardenerError: the mesh or the inventory cannot be read, or no node offers the work.
        """
        names = self._mesh.nodes or tuple(self._receptor.nodes(self._mesh.work_type))
        if not names:
            raise HardenerError(
                f"no node of the mesh offers work of type {self._mesh.work_type}",
                hint="`receptorctl status` shows what they offer; a new node is known after up to a minute",
            )
        self._clear_up()
        inventory = read_inventory(job)
        places = [MeshPlace(name, self._mesh, self._receptor, inventory) for name in names]
        return SlicedExecution(
            job, self._hosts_of_a_slice, places, patience=self._mesh.lease, check=_checked(inventory)
        )

    def _hosts_of_a_slice(self, count: int) -> int:
        nodes = len(self._mesh.nodes) or len(self._receptor.nodes(self._mesh.work_type))
        return self._size or max(1, min(_MOST, math.ceil(count / max(1, nodes))))

    def _clear_up(self) -> None:
        """Remove the units of work of controllers that no longer run."""
        for unit, owner in self._receptor.owners().items():
            pid, _, began = owner.partition("-")
            if pid.isdecimal() and str(_began(int(pid))) != began:
                self._receptor.drop(unit)


class MeshPlace:
    """A node of the mesh.

    Args:
        name: its name in the mesh.
        mesh: how the mesh is reached.
        receptor: the node on this machine.
        inventory: what is sent of the hosts.
    """

    def __init__(self, name: str, mesh: MeshFile, receptor: Receptor, inventory: Inventory) -> None:
        self.name = name
        self._mesh = mesh
        self._receptor = receptor
        self._inventory = inventory

    def is_ready(self) -> bool:
        """Return whether the node can be reached now."""
        try:
            return self.name in self._receptor.nodes(self._mesh.work_type)
        except ReceptorError:
            return False

    def start(self, job: Job) -> MeshAttempt:
        """Return the execution of a slice on this node."""
        return MeshAttempt(job, self.name, self._mesh, self._receptor, self._inventory)


class MeshAttempt:
    """The run of a slice on a node, as one unit of work.

    Args:
        job: the slice.
        node: the node.
        mesh: how the mesh is reached.
        receptor: the node on this machine.
        inventory: what is sent of the hosts.
    """

    def __init__(self, job: Job, node: str, mesh: MeshFile, receptor: Receptor, inventory: Inventory) -> None:
        self._job, self._node, self._mesh = job, node, mesh
        self._receptor, self._inventory = receptor, inventory
        self._unit = ""
        self._folder = Path()
        self._exit = temporary_folder()
        self._stats: dict[str, Any] | None = None
        self._reasons: dict[str, str] = {}
        self._held: dict[str, TaskResult] = {}
        self._sizes = dict.fromkeys(job.hosts or (), 0)
        self._printed: deque[str] = deque(maxlen=_PRINTED_LINES)
        self._problem = ""
        self._arrived = False
        self.groups = {host: inventory.groups_of(host) for host in self._sizes}

    def __enter__(self) -> Self:
        self._folder = self._exit.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._unit and self.is_complete:
                self._receptor.release(self._unit)
            elif self._unit:
                self._receptor.drop(self._unit)
        finally:
            self._exit.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[Event]:
        """Yield the events as they arrive."""
        return self.events()

    @property
    def is_complete(self) -> bool:
        """Return whether all hosts of the slice are finished, and its artifacts have arrived."""
        return self._stats is not None and self._arrived and not self._problem

    @property
    def reason(self) -> str:
        """Return why the slice is incomplete."""
        said = self._problem or failure(self._printed, code=1).message
        return f"node {self._node}: {said}"

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """Return the outcome of each host."""
        hosts = self._job.hosts or ()
        return {host: outcome_of(host, self._stats or {}, self._reasons, self.reason) for host in hosts}

    def events(self) -> Iterator[Event]:
        """Yield the events as they arrive; hold back results with files until the files have arrived."""
        try:
            yield from self._submit()
            yield from self._receive()
        except HardenerError as error:
            self._problem = str(error)
        except (OSError, ValueError) as error:
            self._problem = f"its answer cannot be read: {line(str(error) or repr(error))}"
        if self._stats is not None and self._arrived:
            yield from self._held.values()

    def _submit(self) -> Iterator[Event]:
        node = self._receptor.nodes(self._mesh.work_type).get(self._node)
        if node is None:
            raise ReceptorError(
                f"the node cannot be reached, or offers no work of type {self._mesh.work_type}"
            )
        work = self._folder / "job"
        work.mkdir()
        with tempfile.TemporaryFile(dir=self._folder) as payload:
            transmit(self._job, self._inventory, work, payload)
            shutil.rmtree(work)
            yield Idle()
            payload.seek(0)
            self._unit = self._receptor.submit(
                node,
                self._mesh.work_type,
                payload,
                params=f"--keepalive-seconds={self._mesh.lease // _SIGNS}",
                owner=f"{os.getpid()}-{_began(os.getpid())}",
                ttl=self._mesh.lease,
                tls_client=self._mesh.tls_client,
            )

    def _receive(self) -> Iterator[Event]:
        stream = UnitOutput(self._receptor, self._unit, self._mesh.lease)
        left = self._allowed(_EVENTS)
        try:
            while True:
                text = yield from stream.line()
                left -= len(text)
                if left < 0:
                    raise ReceptorError(f"its events have more than {self._allowed(_EVENTS)} bytes")
                if values(text) > _EVENT_VALUES:
                    continue  # its host has no result
                try:
                    said = parse(text, most_values=_EVENT_VALUES, most_levels=_EVENT_LEVELS, strict=False)
                except ValueError:
                    said = None
                if not isinstance(said, dict):
                    raise ReceptorError(
                        f"ansible-runner does not answer on this node: {line(text.decode(errors='replace'))}"
                    )
                if "status" in said and "event" not in said:
                    if said["status"] == "error":
                        self._problem = line(
                            str(said.get("job_explanation") or "ansible-runner failed there")
                        )
                elif "zipfile" in said:
                    yield from self._unpack(stream, int(said["zipfile"]))
                elif "eof" in said:
                    return
                elif said.get("event") != "keepalive":
                    yield from self._handle(said, len(text))
        finally:
            stream.close()

    def _allowed(self, limit: tuple[int, int]) -> int:
        return limit[0] + limit[1] * len(self._sizes)

    def _handle(self, raw: Mapping[str, Any], size: int) -> Iterator[Event]:
        if text := raw.get("stdout"):
            self._printed.append(str(text)[:LONGEST])
            if self._job.echo:
                self._job.echo(str(text))
        if raw.get("event") == "playbook_on_stats":
            self._stats = raw["event_data"]
        event = translate(raw)
        if isinstance(event, Hosts):
            event = Hosts(tuple(self.groups), self.groups)  # as the inventory has them, not as the node says
        elif isinstance(event, TaskResult):
            if event.host not in self._sizes:
                return  # a node may answer for its slice alone
            self._sizes[event.host] += size
            if self._sizes[event.host] > _OF_A_HOST or ("snapshot" in event.data and size > _HELD):
                event = replace(event, state=State.FAILED, reason="its results are too large", data={})
            if event.reason:
                self._reasons[event.host] = event.reason
            if "snapshot" in event.data:
                self._held[event.host] = event
                return
        if event:
            yield event

    def _unpack(self, stream: UnitOutput, length: int) -> Iterator[Event]:
        """Receive the artifacts, and take the snapshots out of them."""
        if not 0 <= length <= self._allowed(_SIZE):
            raise ValueError(f"{length} bytes is not a valid size of artifacts")
        with tempfile.TemporaryFile(dir=self._folder) as file:
            yield from stream.decode(length, file)
            archive = Archive(file, most_files=self._allowed(_FILES), most_bytes=self._allowed(_SIZE))
            if self._job.artifacts:
                _keep_artifacts(archive, self._job.artifacts / f"{self._job.label}-{self._node}")
            self._held = {host: self._with_file(archive, each) for host, each in self._held.items()}
        self._arrived = True

    def _with_file(self, archive: Archive, event: TaskResult) -> TaskResult:
        name = Path(str(event.data["snapshot"])).name
        if unquote(name.removesuffix(".json"), errors="surrogatepass") != event.host:
            raise ReceptorError(f"the snapshot of {line(event.host)} has a wrong file name: {line(name)}")
        destination = Path(str(self._job.variables[DESTINATION])) / name
        destination.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = destination.with_name(f".{name}.{self._job.label}")
        try:
            with _private(partial) as target:
                archive.unpack(f"{SNAPSHOTS}/{name}", target)
            partial.replace(destination)
        except KeyError:
            raise ReceptorError(f"the snapshot of {line(event.host)} did not arrive") from None
        finally:
            partial.unlink(missing_ok=True)
        return replace(event, data={**event.data, "snapshot": str(destination)})


def _checked(inventory: Inventory) -> Callable[[tuple[str, ...]], None]:
    """Return a check that refuses hosts with the connection ``local``, which on a node means the node."""

    def check(hosts: tuple[str, ...]) -> None:
        for host in hosts:
            if inventory.variables.get(host, {}).get("ansible_connection") == "local":
                raise HardenerError(
                    f"{line(host)} is this machine, which a mesh cannot reach",
                    hint="give it an ssh connection in the inventory, or run without --mesh",
                )

    return check


def _keep_artifacts(archive: Archive, folder: Path) -> None:
    """Keep the regular files of the artifacts, without the environment and the snapshots."""
    for name in archive.files():
        parts = Path(name).parts
        if ".." in parts or name.startswith("/") or parts[0] in ("command", SNAPSHOTS):
            continue
        path = folder.joinpath(*parts)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _private(path) as target:
            archive.unpack(name, target)


def _private(path: Path) -> IO[bytes]:
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb")  # noqa: PTH123


def _began(pid: int) -> int:
    """Return the start time of a process in the kernel's ticks; 0 if there is no such process."""
    with suppress(OSError, ValueError, IndexError):
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return int(stat.rpartition(")")[2].split()[19])
    return 0
