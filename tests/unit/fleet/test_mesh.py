"""A slice on a node whose Receptor says what the test wants; tests/mesh has real nodes."""

from __future__ import annotations

import base64
import io
import json
import os
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hardener.errors import HardenerError
from hardener.fleet import mesh as module
from hardener.fleet import mesh_job
from hardener.fleet.events import Hosts, Outcome, State, TaskResult
from hardener.fleet.executor import Job
from hardener.fleet.mesh import MeshAttempt, MeshExecutor, MeshFile, mesh_file
from hardener.fleet.mesh_job import Inventory
from hardener.fleet.receptor import Receptor, ReceptorError
from tests.leftovers import scratch

SNAPSHOT = "../artifacts/hardener/snapshots/a.json"


class FakeReceptor:
    """A control socket that answers as Receptor does; ``output`` is what the work prints, in pieces."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.output: list[bytes] = []  # the connection is closed after each piece
        self.waits = False  # after the last piece the work goes on
        self.state: dict[str, Any] = {"State": 3, "Detail": "exit status 1"}
        self.secure = True
        self.offers = ["w1"]
        self.refuses = ""
        self.asked: list[dict[str, Any]] = []
        self.positions: list[int] = []
        self.units: dict[str, Any] = {}
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self.path)
        self._server.listen()
        self._over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._server.close()

    def commands(self, *verbs: str) -> list[tuple[str, str]]:
        asked = [(each.get("subcommand", ""), each.get("unitid", "")) for each in self.asked]
        return [each for each in asked if each[0] in verbs]

    def _serve(self) -> None:
        while not self._over.is_set():
            with suppress(OSError):
                connection, _ = self._server.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection, connection.makefile("rwb") as stream:

            def say(text: str) -> None:
                stream.write(text.encode() + b"\n")
                stream.flush()

            say("Receptor Control, node ctl")
            words = stream.readline().decode().strip()
            if words.startswith("work results"):
                position = int(words.split()[-1])
                self.positions.append(position)
                say("Streaming results for work unit u1")
                start = 0
                for piece in self.output:
                    if start + len(piece) > position:
                        connection.sendall(piece[max(0, position - start) :])
                        break
                    start += len(piece)
                if self.waits and self.positions.count(position) > 1:
                    self._over.wait(5)
                return
            asked = json.loads(words)
            self.asked.append(asked)
            if asked.get("subcommand") == "submit":
                if self.refuses:
                    say(f"ERROR: {self.refuses}")
                    return
                say("Work unit created with ID u1. Send stdin data and EOF.")
                asked["payload"] = stream.read()
                say(json.dumps({"result": "Job Started", "unitid": "u1"}))
            elif asked.get("subcommand") == "status":
                say(json.dumps(self.state))
            elif asked.get("subcommand") == "list":
                say(json.dumps(self.units))
            elif asked["command"] == "status":
                work = [{"WorkType": "ansible-runner", "Secure": self.secure}]
                offers = [{"NodeID": name, "WorkCommands": work} for name in self.offers]
                routes = {name: name for name in (*self.offers, "idle")}
                say(json.dumps({"NodeID": "ctl", "RoutingTable": routes, "Advertisements": offers}))
            else:
                say(json.dumps({"cancelled": asked.get("unitid")}))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeReceptor]:
    monkeypatch.setattr(mesh_job, "_WAIT_S", 0.02)
    monkeypatch.setattr(module, "transmit", lambda job, inventory, folder, output: output.write(b"the job"))
    with scratch("receptor") as folder:  # a socket's path is short
        receptor = FakeReceptor(folder / "sock")
        yield receptor
        receptor.close()


def event(kind: str, host: str = "a", action: str = "collect", **res: Any) -> bytes:
    data = {"host": host, "resolved_action": action, "res": res}
    return json.dumps({"event": kind, "event_data": data, "counter": 1, "uuid": "x"}).encode() + b"\n"


def archive(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
        link = zipfile.ZipInfo("snapshots/link.json")
        link.external_attr = 0o120777 << 16
        zipped.writestr(link, "/etc/shadow")
    return artifacts(packed.getvalue())


def artifacts(data: bytes) -> bytes:
    return json.dumps({"zipfile": len(data)}).encode() + b"\n" + base64.b64encode(data)


HEAD = b'{"status": "running"}\n' + event(
    "runner_on_ok", action="hardener.docker.hosts", hosts={"a": [], "b": []}
)
ANSWERS = event("runner_on_ok", snapshot=SNAPSHOT) + event("runner_on_unreachable", "b", msg="refused")
STATS = b'{"event": "playbook_on_stats", "event_data": {"processed": {"a": 1, "b": 1}, "dark": {"b": 1}}}\n'
KEEPALIVE = b'{"event": "keepalive", "counter": 0, "uuid": 0}\n'
EOF = b'{"eof": true}\n'
WHOLE = HEAD + KEEPALIVE + ANSWERS + STATS + archive(**{"snapshots/a.json": b"{}"}) + EOF


Slice = Callable[..., tuple[MeshAttempt, list[Any]]]


@pytest.fixture
def run(fake: FakeReceptor, tmp_path: Path) -> Slice:
    """Run a slice with two hosts to its end."""

    def started(
        lease: float = 5, hosts: tuple[str, ...] = ("a", "b"), **mesh: Any
    ) -> tuple[MeshAttempt, list[Any]]:
        options = MeshFile(socket=fake.path, **mesh).model_copy(update={"lease": lease})
        job = Job(
            playbook="audit",
            inventory="a,b",
            cwd=tmp_path,
            hosts=hosts,
            variables={"collect_dest": str(tmp_path / "snapshots")},
            label="audit-1",
        )
        with MeshAttempt(job, "w1", options, Receptor(fake.path), Inventory({}, {})) as attempt:
            events = [each for each in attempt.events() if isinstance(each, Hosts | TaskResult)]
        return attempt, events

    return started


def test_a_slice_returns_its_outcomes_and_snapshots(fake: FakeReceptor, run: Slice, tmp_path: Path) -> None:
    fake.output = [WHOLE]
    attempt, events = run()
    assert attempt.is_complete
    assert attempt.outcomes == {"a": Outcome(State.OK), "b": Outcome(State.UNREACHABLE, "refused")}
    snapshot = tmp_path / "snapshots" / "a.json"
    assert [each.host for each in events if isinstance(each, TaskResult)] == ["b", "a"]
    assert events[-1].data["snapshot"] == str(snapshot)
    assert snapshot.read_text() == "{}"
    assert snapshot.stat().st_mode & 0o777 == 0o600
    assert fake.commands("release", "cancel") == [("release", "u1")]


def test_a_broken_connection_is_resumed_at_its_position(fake: FakeReceptor, run: Slice) -> None:
    fake.state = {"State": 1, "Detail": "Running"}
    fake.output = [WHOLE[start : start + 97] for start in range(0, len(WHOLE), 97)]
    attempt, events = run()
    assert attempt.is_complete, attempt.reason
    assert len([each for each in events if isinstance(each, TaskResult)]) == 2
    assert fake.positions == list(range(0, len(WHOLE), 97))


@pytest.mark.parametrize(("secure", "signed"), [(True, "true"), (False, None)])
def test_work_is_signed_if_the_node_requires_it(
    fake: FakeReceptor, run: Slice, secure: bool, signed: str | None
) -> None:
    fake.secure, fake.output = secure, [WHOLE]
    run(tls_client="client")
    asked = next(each for each in fake.asked if each.get("subcommand") == "submit")
    assert asked.get("signwork") == signed
    assert (asked["tlsclient"], asked["node"], asked["ttl"]) == ("client", "w1", "5s")
    assert asked["payload"] == b"the job"


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (HEAD + ANSWERS + STATS, "the work ended before its output was complete: it failed: exit status 1"),
        (
            b"usage: ansible-runner worker\n",
            "ansible-runner does not answer on this node: usage: ansible-runner",
        ),
        (HEAD + b"[1]\n", r"ansible-runner does not answer on this node: \[1\]"),
        (b"[" * 100_000 + b"\n", "ansible-runner does not answer on this node"),
        (HEAD + ANSWERS + STATS + archive() + EOF, "the snapshot of a did not arrive"),
        (HEAD + b'{"zipfile": 9999999999999}\n', "9999999999999 bytes is not a valid size"),
        (HEAD + b'{"zipfile": -4}\n', "-4 bytes is not a valid size"),
        (HEAD + b'{"zipfile": "x"}\n', "cannot be read"),
        (HEAD + artifacts(b"no archive") + EOF, "cannot be read"),
        (HEAD + b'{"zipfile": 3}\n@@@@' + EOF, "cannot be read"),
        (b'{"status": "error", "job_explanation": "no space\\nleft"}\n' + EOF, "no space left"),
        (HEAD + EOF, "before it reached any host"),
    ],
)
def test_a_malformed_answer_loses_the_slice(
    fake: FakeReceptor, run: Slice, output: bytes, reason: str, tmp_path: Path
) -> None:
    fake.output = [output]
    attempt, events = run()
    assert not attempt.is_complete
    with pytest.raises(HardenerError, match=reason):
        raise HardenerError(attempt.reason)
    assert attempt.reason.startswith("node w1: ")
    assert not [each for each in events if isinstance(each, TaskResult) and each.data.get("snapshot")]
    assert fake.commands("cancel", "force-release") == [("cancel", "u1"), ("force-release", "u1")]
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("a", "../../../outside.json"),
        ("a", "/etc/passwd"),
        ("a", "snapshots/b.json"),
        ("a", "snapshots/link.json"),
        ("another", "snapshots/another.json"),
    ],
)
def test_answers_for_hosts_or_paths_outside_of_the_nodes_slice_are_ignored(
    fake: FakeReceptor, run: Slice, tmp_path: Path, host: str, path: str
) -> None:
    names = ("../../../outside.json", "snapshots/b.json", "snapshots/another.json", "snapshots/passwd")
    packed = archive(**dict.fromkeys(names, b"{}"))
    fake.output = [HEAD + event("runner_on_ok", host, snapshot=path) + STATS + packed + EOF]
    _, events = run()
    assert not [each for each in events if isinstance(each, TaskResult)]
    assert not list(tmp_path.iterdir())


def test_a_link_in_the_artifacts_becomes_a_file(
    fake: FakeReceptor, run: Slice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = event("runner_on_ok", "link", snapshot="snapshots/link.json")
    fake.output = [HEAD + answer + STATS + archive() + EOF]
    run(hosts=("link",))
    assert not (tmp_path / "snapshots" / "link.json").is_symlink()
    assert (tmp_path / "snapshots" / "link.json").read_text() == "/etc/shadow"


def test_artifacts_above_the_sum_of_sizes_are_not_unpacked(
    fake: FakeReceptor, run: Slice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SIZE", (2000, 0))
    fake.output = [HEAD + ANSWERS + STATS + archive(**{"snapshots/a.json": bytes(1001), "b": bytes(1000)})]
    attempt, _ = run()
    assert not attempt.is_complete
    assert not list(tmp_path.rglob("*.json"))


def test_a_result_too_large_to_be_held_fails_its_host_alone(fake: FakeReceptor, run: Slice) -> None:
    large = event("runner_on_ok", "b", snapshot="b.json", x="x" * (1 << 20))
    fake.output = [HEAD + event("runner_on_ok", snapshot=SNAPSHOT) + large + WHOLE[len(HEAD) :]]
    attempt, events = run()
    assert attempt.is_complete, attempt.reason
    failed = next(each for each in events if isinstance(each, TaskResult) and each.host == "b")
    assert (failed.reason, failed.data) == ("its results are too large", {})


def test_a_node_sets_no_groups(fake: FakeReceptor, run: Slice) -> None:
    fake.output = [HEAD + event("runner_on_ok", action="hardener.docker.hosts", hosts={"z": ["web"]}) + EOF]
    attempt, _ = run()
    assert attempt.groups == {"a": (), "b": ()}


def test_signs_of_life_do_not_extend_a_slice_without_end(
    fake: FakeReceptor, run: Slice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mesh_job, "_LONGEST_S", -1)
    fake.output = [HEAD + KEEPALIVE]
    attempt, _ = run()
    assert attempt.reason == "node w1: the work did not end in -1 s"


def test_a_slice_without_output_ends_when_its_lease_expires(fake: FakeReceptor, run: Slice) -> None:
    fake.state = {"State": 1, "Detail": "Running"}
    fake.output, fake.waits = [HEAD], True
    attempt, _ = run(lease=0.2)
    assert attempt.reason == "node w1: the node sent no output for 0.2 s"


def test_a_node_that_refuses_the_work_is_reported_with_the_reason(fake: FakeReceptor, run: Slice) -> None:
    fake.refuses = "could not verify signature"
    attempt, _ = run()
    assert attempt.reason == "node w1: w1 refuses the work: could not verify signature"


def test_a_node_that_cannot_be_reached_is_reported(fake: FakeReceptor, run: Slice) -> None:
    fake.offers = ["w2"]
    attempt, _ = run()
    assert "cannot be reached" in attempt.reason


def test_only_units_of_dead_controllers_are_ended(fake: FakeReceptor) -> None:
    def unit(**params: str) -> dict[str, Any]:
        return {"ExtraData": {"RemoteParams": params}}

    mine = f"{os.getpid()}-{module._began(os.getpid())}"
    fake.units = {
        "mine": unit(hardener=mine),
        "gone": unit(hardener="4194304-7"),
        "odd": unit(hardener="../1"),
        "awx": unit(params="x"),
        "local": {"ExtraData": None},
        "none": {},
        "list": [],
    }
    MeshExecutor(MeshFile(socket=fake.path))._clear_up()
    assert fake.commands("cancel", "force-release") == [("cancel", "gone"), ("force-release", "gone")]


def test_a_mesh_without_the_work_type_is_an_error(fake: FakeReceptor, tmp_path: Path) -> None:
    job = Job(playbook="audit", inventory="a,", cwd=tmp_path)
    with pytest.raises(HardenerError, match="no node of the mesh offers work of type other"):
        MeshExecutor(MeshFile(socket=fake.path, work_type="other")).start(job)


def test_missing_receptor_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReceptorError, match=r"receptor does not answer at .*/none: No such file"):
        Receptor(str(tmp_path / "none")).nodes("ansible-runner")


def test_a_mesh_refuses_hosts_that_mean_this_machine() -> None:
    check = module._checked(Inventory({}, {"here": {"ansible_connection": "local"}, "there": {}}))
    check(("there",))
    with pytest.raises(HardenerError, match="here is this machine"):
        check(("there", "here"))


def test_a_slice_contains_its_hosts_and_their_groups() -> None:
    groups = {"all": frozenset("abc"), "ungrouped": frozenset("c"), "web": frozenset("ab"), "db": frozenset()}
    part = Inventory(groups, {"b": {"x": 1}, "c": {"secret": 2}}).part(("b", "a"))
    assert part == {
        "all": {"hosts": {"b": {"x": 1}, "a": {}}, "children": {"web": {"hosts": {"b": {}, "a": {}}}}}
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nodes: w1", "nodes: must be a list"),
        ("nodes: [w1, w1]", "the list names a node twice"),
        ("work_type: 'a b'", "work_type"),
        ('tls_client: "x\\ny"', "tls_client"),
        ("nodes: ['-x']", "nodes"),
        ("lease: 5", "lease"),
        ("lease: soon", "lease"),
        ("key: x", "key"),
        ("[1]", "mesh.yml"),
    ],
)
def test_an_invalid_mesh_file_is_an_error_that_names_the_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mesh.yml"
    path.write_text(text)
    with pytest.raises(HardenerError, match=message):
        mesh_file(path)


def test_keys_missing_in_a_mesh_file_have_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mesh.yml"
    path.write_text("nodes: [w1, w2]\nlease: 90\n")
    found = mesh_file(path)
    assert (found.work_type, found.nodes, found.lease) == ("ansible-runner", ("w1", "w2"), 90)
    assert found.tls_client is None
