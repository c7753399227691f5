"""The transaction against real file systems, signals and an engine; what needs systemd is in tests/e2e."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.integration.converging import Host, mounted
from tests.integration.dockerd import Dockerd
from tests.unit.plugins.loading import COLLECTIONS


def worker_of(process: subprocess.Popen[str]) -> int:
    """The worker, which has left the session of the process that waits for it."""
    deadline = time.monotonic() + 60  # on a busy machine
    while time.monotonic() < deadline:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        with suppress(OSError):
            for child in map(int, children.read_text().split()):
                if os.getsid(child) == child:
                    return child
        time.sleep(0.001)
    raise AssertionError("no worker was started")


OLD, NEW = "old " * 2000 + "\n", "new, and longer " * 2000 + "\n"  # one line: a diff is no part of this
MANY = 60


def contents(host: Host) -> list[str]:
    found = []
    for number in range(MANY):
        text = (host.files / f"f{number}").read_text()
        assert text in (OLD, NEW), "half-written"
        found.append("old" if text == OLD else "new")
    return found


def is_new(path: Path) -> bool:
    return path.stat().st_size == len(NEW)


@pytest.mark.parametrize("kills", [5, pytest.param(25, marks=pytest.mark.slow)])
def test_a_run_killed_at_any_moment_leaves_whole_files_and_is_rolled_back(host: Host, kills: int) -> None:
    seed = os.environ.get("HARDENER_TEST_SEED") or random.randrange(1 << 32)
    print(f"HARDENER_TEST_SEED={seed}")
    rng = random.Random(int(seed))
    wanted = [host.file(f"f{number}", NEW) for number in range(MANY)]
    previous = [host.file(f"f{number}", OLD) for number in range(MANY)]
    host.converge(*previous)
    halfway = 0
    for kill in range(kills):
        process = host.start(*wanted)
        worker = worker_of(process)
        # At a moment of the work and not of the clock: before the first file, at one of them, after the last.
        # The first kill is at a file of the first half, so that a run is interrupted halfway for certain.
        last = rng.randrange(-4, MANY + 4) if kill else rng.randrange(MANY // 2)
        reached = host.journal if last < 0 else host.files / f"f{min(last, MANY - 1)}"
        while process.poll() is None and not (reached.exists() and (last < 0 or is_new(reached))):
            time.sleep(0.0005)
        time.sleep(rng.uniform(0, 0.005 if last < MANY else 0.05))
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
        process.wait()
        found = contents(host)
        interrupted = host.journal.exists()
        halfway += interrupted and len(set(found)) == 2
        assert interrupted or set(found) == {"new"}  # without a journal it was over
        result = host.converge(*previous)
        assert set(contents(host)) == {"old"}
        assert bool(result["recovered"]) is interrupted
        assert not [path for path in host.files.iterdir() if path.name.startswith(".")]
    assert halfway >= max(1, kills // 8), "the kills came too early or too late to prove anything"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_the_worker_continues_after_the_death_of_the_controller(host: Host, number: signal.Signals) -> None:
    host.converge(*(host.file(f"f{index}", OLD) for index in range(MANY)))
    process = host.start(*(host.file(f"f{index}", NEW) for index in range(MANY)))
    worker = worker_of(process)
    os.killpg(process.pid, number)
    process.wait()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(contents(host)) == {"new"}
    assert not host.journal.exists()


def test_files_get_their_mode_under_a_strict_umask(host: Host) -> None:
    assert host.converge(host.file("made/for/it", "x"))["outcome"] == "changed"
    modes = [(host.files / path).stat().st_mode & 0o777 for path in ("made", "made/for", "made/for/it")]
    assert modes == [0o755, 0o755, 0o644]
    assert host.state.stat().st_mode & 0o777 == 0o700


@pytest.fixture
def small(host: Host) -> Iterator[Path]:
    with mounted(host.files / "small", "size=64k") as folder:
        yield folder


@pytest.fixture
def read_only(host: Host) -> Iterator[Path]:
    with mounted(host.files / "readonly", "ro") as folder:
        yield folder


def test_a_run_that_fills_the_disk_keeps_all_former_files(host: Host, small: Path) -> None:
    (small / "config").write_text("old")
    (host.files / "other").write_text("old")
    result = host.converge(host.file("other", "new"), host.file("small/config", "x" * 200_000))
    assert result["outcome"] == "rolled_back"
    assert result["reason"] == f"{small}/config cannot be changed: No space left on device"
    assert (small / "config").read_text() == "old"
    assert (host.files / "other").read_text() == "old"
    assert [path.name for path in small.iterdir()] == ["config"]


@pytest.mark.parametrize("before", ["old and longer than a page" * 200, ""])
def test_former_files_are_restored_on_a_full_disk(host: Host, small: Path, before: str) -> None:
    (small / "config").write_text(before)
    (small / "config").chmod(0o640)
    host.converge(host.file("small/config", "new" * 4000))
    with suppress(OSError), (small / "others").open("wb", buffering=0) as others:
        while True:
            others.write(b"x" * 1024)
    done = host.call("rollback", {})
    assert (done["outcome"], done["notes"]) == ("changed", [])
    assert ((small / "config").read_text(), (small / "config").stat().st_mode & 0o777) == (before, 0o640)
    assert sorted(path.name for path in small.iterdir()) == ["config", "others"]


def test_a_run_without_space_for_its_backups_is_refused_before_any_change(host: Host) -> None:
    with mounted(host.state, "size=16k"):
        (host.files / "big").write_text("x" * 100_000)
        result = host.converge(host.file("big", "new"))
        assert result["outcome"] == "refused"
        assert "No space left on device" in result["reason"]
        assert (host.files / "big").read_text() == "x" * 100_000


def test_a_path_on_a_read_only_file_system_is_refused_before_any_change(host: Host, read_only: Path) -> None:
    result = host.converge(host.file("one", "new"), host.file("readonly/two", "new"))
    assert result["outcome"] == "refused"
    assert f"{read_only} is on a file system that is mounted read-only" in result["reason"]
    assert not (host.files / "one").exists()


def test_a_change_of_a_mode_on_a_read_only_mount_is_refused(host: Host) -> None:
    path = host.files / "x"
    path.write_text("")
    path.chmod(0o666)
    subprocess.run(["mount", "--bind", path, path], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", path], check=True)
        result = host.converge({"kind": "attributes", "path": str(path), "at_most": "0600"})
        assert (result["outcome"], path.stat().st_mode & 0o777) == ("refused", 0o666)
    finally:
        subprocess.run(["umount", path], check=True)


def test_a_change_of_a_file_that_is_a_mount_point_is_rolled_back(host: Host) -> None:
    (host.files / "mounted").write_text("outer")
    (host.folder / "inner").write_text("inner")
    subprocess.run(["mount", "--bind", host.folder / "inner", host.files / "mounted"], check=True)
    try:
        result = host.converge(host.file("mounted", "new"))
        assert result["outcome"] == "rolled_back"
        assert "busy" in result["reason"]
        assert (host.files / "mounted").read_text() == "inner"
    finally:
        subprocess.run(["umount", host.files / "mounted"], check=True)


def acl_of(path: Path) -> list[str]:
    command = ["getfacl", "--omit-header", "--absolute-names", str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_removing_an_acl_does_not_give_its_mask_to_the_group(host: Host) -> None:
    path = host.files / "key"
    path.write_text("secret")
    path.chmod(0o640)
    subprocess.run(["setfacl", "--modify", "user:daemon:rw", path], check=True)
    before = acl_of(path)
    wanted = {"kind": "attributes", "path": str(path), "at_most": "0660", "remove_acl": True}
    result = host.converge(wanted)
    assert "-access control list" in result["diff"][0]["prepared"]
    assert acl_of(path) == ["user::rw-", "group::r--", "other::---"]
    assert host.converge(wanted)["outcome"] == "unchanged"

    subprocess.run(["setfacl", "--modify", "user:daemon:rw", path], check=True)
    failing = host.converge(wanted, host.file("x/../y", ""))
    assert failing["outcome"] == "refused"
    assert acl_of(path) == before


def test_a_failed_run_restores_owners_modes_and_acls(host: Host, small: Path) -> None:
    path = host.files / "key"
    path.write_text("secret")
    shutil.chown(path, "daemon", "daemon")
    path.chmod(0o4755)
    subprocess.run(["setfacl", "--modify", "user:games:r", path], check=True)
    before, mode = acl_of(path), path.stat().st_mode
    tightened = {
        "kind": "attributes",
        "path": str(path),
        "owner": "root",
        "at_most": "0600",
        "remove_acl": True,
    }
    result = host.converge(tightened, host.file("new", "x"), host.file(f"{small.name}/two", "x" * 200_000))
    assert result["outcome"] == "rolled_back"
    assert (acl_of(path), path.stat().st_mode, path.owner()) == (before, mode, "daemon")


# --- a real engine ------------------------------------------------------------------------------------------


@pytest.fixture
def own_engine() -> Iterator[Dockerd]:
    with Dockerd() as engine:
        yield engine


def docker(engine: Dockerd, keys: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """A document for a private engine."""
    return {
        "resources": [{"kind": "json", "path": str(engine.config_file), "keys": keys}],
        "activations": [
            {
                "name": "docker",
                "when": [str(engine.config_file)],
                **settings,
            }
        ],
        "socket": engine.socket,
    }


def converge(host: Host, document: dict[str, Any]) -> dict[str, Any]:
    return host.converge(*document.pop("resources"), **document)


def test_a_container_survives_the_reload_of_a_real_engine(host: Host, own_engine: Dockerd) -> None:
    container = own_engine.run("web")
    started = own_engine.api("GET", f"/containers/{container}/json")["State"]["StartedAt"]
    expect = {"info": {"LiveRestoreEnabled": True}}
    wanted = docker(own_engine, {"live-restore": True}, expect=expect)
    result = converge(host, wanted)
    assert (result["outcome"], result["activations"][0]["action"]) == ("changed", "reload docker")
    assert own_engine.api("GET", "/info")["LiveRestoreEnabled"] is True
    assert own_engine.api("GET", f"/containers/{container}/json")["State"]["StartedAt"] == started
    again = converge(host, docker(own_engine, {"live-restore": True}, expect=expect))
    assert again["outcome"] == "unchanged"


@pytest.mark.parametrize("by", ["rollback", "the next run"])
def test_a_run_of_0_1_0_is_rolled_back_by_its_journal(host: Host, own_engine: Dockerd, by: str) -> None:
    before = own_engine.config_file.read_bytes()
    done = converge(host, docker(own_engine, {"live-restore": True}))
    assert done["outcome"] == "changed", done
    path = host.state / "backups" / done["run"] / "journal.json"
    journal = json.loads(path.read_text())
    assert journal["memory"]["docker"].pop("engine")["socket"] == str(own_engine.socket)
    journal["activations"]["docker"] |= {
        "config": str(own_engine.config_file),
        "dockerd": own_engine.command[0],
        "argv": own_engine.command,
        "flags": {"host": [own_engine.host]},
        "socket": str(own_engine.socket),
        "unit": "docker.service",
    }
    if by == "rollback":
        path.write_text(json.dumps(journal))
        assert host.call("rollback", {})["outcome"] == "changed"
    else:
        host.journal.write_text(json.dumps({**journal, "phase": "changing", "limit": {}}))
        assert host.converge_all([])["recovered"] == done["run"]
    assert own_engine.config_file.read_bytes() == before
    assert own_engine.api("GET", "/info")["LiveRestoreEnabled"] is False


def test_a_restart_of_an_engine_without_a_unit_is_refused(host: Host, own_engine: Dockerd) -> None:
    pid = own_engine.pid
    before = own_engine.config_file.read_bytes()
    result = converge(host, docker(own_engine, {"icc": False}))
    assert result["outcome"] == "refused"
    assert "has to be restarted, and is not run by" in result["reason"]
    assert own_engine.config_file.read_bytes() == before
    assert own_engine.pid == pid


def test_a_file_changed_after_a_real_engine_started_needs_a_restart(host: Host, own_engine: Dockerd) -> None:
    assert converge(host, docker(own_engine, {}, loaded=True))["outcome"] == "unchanged"
    later = time.time() + 60
    os.utime(own_engine.config_file, (later, later))
    result = converge(host, docker(own_engine, {}, loaded=True))
    assert "has to be restarted, and is not run by" in result["reason"]


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"no-such-key": 1}, "don't match any configuration option: no-such-key"),
        ({"live-restore": "true"}, "cannot unmarshal string"),
        ({"hosts": ["unix:///x"]}, "hosts is set on the engine's command line"),
        ({"dns": ["not an address"]}, "not an address"),
        ({"log-driver": "nonsense"}, "there is no plugin nonsense"),
        ({"storage-driver": "vfs"}, "would no longer see its"),
        ({"userns-remap": "default"}, "would no longer see its"),
    ],
)
def test_a_configuration_that_a_real_engine_would_refuse_is_refused(
    host: Host, engine: Dockerd, keys: dict[str, Any], reason: str
) -> None:
    before = engine.config_file.read_bytes()
    result = converge(host, docker(engine, keys))
    assert (result["outcome"], engine.config_file.read_bytes()) == ("refused", before)
    assert reason in result["reason"]


@pytest.mark.usefixtures("accounts")
def test_validating_user_remapping_creates_no_user(host: Host, own_engine: Dockerd) -> None:
    accounts = [Path(path).read_bytes() for path in ("/etc/passwd", "/etc/subuid", "/etc/subgid")]
    result = converge(host, docker(own_engine, {"userns-remap": "default"}))
    assert "is not run by" in result["reason"]  # valid, but there is no unit to restart
    assert [Path(path).read_bytes() for path in ("/etc/passwd", "/etc/subuid", "/etc/subgid")] == accounts


# --- through Ansible ----------------------------------------------------------------------------------------


def play(tmp_path: Path, document: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
    """Converge with plain ansible-playbook; /var/lib is a folder of its own."""
    tasks = [{"name": "Converge", "hardener.docker.converge": {"documents": [document]}}]
    role = {"role": "hardener.docker.converge"}
    (tmp_path / "play.yml").write_text(
        json.dumps([{"hosts": "all", "gather_facts": False, "roles": [role], "tasks": tasks}])
    )
    (tmp_path / "var-lib").mkdir(exist_ok=True)
    playbook = Path(sys.executable).with_name("ansible-playbook")
    command: Sequence[str] = [
        "unshare",
        "--mount",
        "--propagation=private",
        "sh",
        "-c",
        'mount --bind "$0" /var/lib && exec "$@"',
        str(tmp_path / "var-lib"),
        str(playbook),
        "--inventory=localhost,",
        "--connection=local",
        "--extra-vars=ansible_python_interpreter=/usr/bin/python3",
        *options,
        str(tmp_path / "play.yml"),
    ]
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
    }
    return subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        env={**environment, "ANSIBLE_NOCOLOR": "1"},
        cwd=tmp_path,
    )


def test_check_mode_predicts_changes_and_a_second_run_has_none(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "x"
    document = {"name": "a", "resources": [{"kind": "file", "path": str(path), "content": "text\n"}]}
    predicted = play(tmp_path, document, "--check", "--diff")
    assert "+text" in predicted.stdout, predicted.stdout + predicted.stderr
    assert "changed=1" in predicted.stdout
    assert not path.exists()
    done = play(tmp_path, document, "--diff")
    assert (path.read_text(), "changed=1" in done.stdout) == ("text\n", True)
    assert "changed=0" in play(tmp_path, document).stdout


def test_a_refusal_is_one_line_in_ansible(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    path.write_text('{"icc": true, "icc": false}')
    document = {"name": "a", "resources": [{"kind": "json", "path": str(path), "keys": {"icc": False}}]}
    failed = play(tmp_path, document)
    assert failed.returncode != 0
    assert "nothing was changed: " in failed.stdout
    assert "appears twice" in failed.stdout
    assert "Traceback" not in failed.stdout + failed.stderr
