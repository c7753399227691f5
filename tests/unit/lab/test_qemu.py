from __future__ import annotations

import itertools
import json
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hardener.errors import InternalError
from hardener.lab import qemu

Start = Callable[..., subprocess.Popen[bytes]]


def machine(directory: Path, *, accelerator: str = "tcg", disk: str = "disk.qcow2") -> qemu.Machine:
    return qemu.Machine(
        directory=directory,
        accelerator=accelerator,
        kernel=Path("/i/vmlinuz"),
        initrd=Path("/i/initrd.img"),
        disks=(directory / disk, directory / "data.qcow2"),
        disk_format="qcow2",
        port=2222,
    )


def option(command: list[str], name: str) -> list[str]:
    return [value for key, value in itertools.pairwise(command) if key == name]


def test_the_guest_is_reached_on_loopback_only() -> None:
    command = machine(Path("/g")).command()
    assert option(command, "-netdev") == ["user,id=net,hostfwd=tcp:127.0.0.1:2222-:22"]
    assert "none" in option(command, "-display")
    assert "-nodefaults" in command


def test_a_comma_in_a_disks_path_is_escaped() -> None:
    root, _data = option(machine(Path("/g"), disk="a,readonly=on").command(), "-blockdev")
    assert json.loads(root)["file"]["filename"] == "/g/a,readonly=on"


@pytest.mark.parametrize(("accelerator", "cpu"), [("kvm", "host"), ("tcg", "max")])
def test_the_emulated_processor_depends_on_the_accelerator(accelerator: str, cpu: str) -> None:
    command = machine(Path("/g"), accelerator=accelerator).command()
    assert option(command, "-cpu") == [cpu]
    assert option(command, "-accel")[0].startswith(accelerator)


def test_saved_and_restored_machines_have_the_same_devices() -> None:
    saved = machine(Path("/g")).command()
    restored = machine(Path("/g")).command("-incoming", "file:/i/state", "-daemonize")
    assert restored[: len(saved)] == saved


def test_without_dev_kvm_the_guest_is_emulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu, "kvm_accessible", lambda: False)
    assert qemu.choose_accelerator(Path("/i/vmlinuz")) == "tcg"


@pytest.mark.parametrize(
    ("does", "timeout", "expected"),
    [
        ("echo 'Linux version 6.12'; echo 'Kernel panic - not syncing: VFS'", 60, "kvm"),
        ("echo 'KVM internal error. Suberror: 1' >&2; exit 1", 60, "tcg"),
        ("exec sleep 60", 0.3, "tcg"),
    ],
    ids=["a kernel runs", "it cannot run instructions", "it hangs"],
)
def test_kvm_is_used_only_if_a_test_kernel_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, does: str, timeout: float, expected: str
) -> None:
    fake = tmp_path / "qemu"
    fake.write_text(f"#!/bin/sh\n{does}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(qemu, "QEMU", str(fake))
    monkeypatch.setattr(qemu, "kvm_accessible", lambda: True)
    assert qemu.choose_accelerator(Path("/i/vmlinuz"), timeout=timeout) == expected


def test_the_process_of_a_guest_is_found_and_ended(tmp_path: Path, process: Start) -> None:
    pidfile = tmp_path / "qemu.pid"
    ours = process("/usr/bin/qemu-system-x86_64", "-pidfile", str(pidfile))
    pidfile.write_text(f"{ours.pid}\n")
    assert qemu.running_pid(pidfile) == ours.pid
    assert qemu.stop(pidfile)
    assert ours.wait(60) < 0
    assert qemu.running_pid(pidfile) is None
    assert not qemu.stop(pidfile)


@pytest.mark.parametrize(
    "argv",
    [
        ("sleep", "60"),
        ("qemu-system-x86_64", "-pidfile", "/another/guest/qemu.pid"),
        ("vim", "{pidfile}"),
    ],
    ids=["an unrelated process", "another guest", "not QEMU, though it names our pidfile"],
)
def test_a_reused_pid_is_not_ended(tmp_path: Path, process: Start, argv: tuple[str, ...]) -> None:
    pidfile = tmp_path / "qemu.pid"
    other = process(*(word.format(pidfile=pidfile) for word in argv))
    pidfile.write_text(f"{other.pid}\n")
    assert qemu.running_pid(pidfile) is None
    assert not qemu.stop(pidfile)
    assert other.poll() is None


@pytest.mark.parametrize("content", ["", "not a number", "-1", "0", "99999999999", "4194305"])
def test_a_pid_file_without_a_process_is_ignored(tmp_path: Path, content: str) -> None:
    pidfile = tmp_path / "qemu.pid"
    pidfile.write_text(content)
    assert qemu.running_pid(pidfile) is None
    assert not qemu.stop(pidfile)


def test_a_missing_pid_file_means_no_guest(tmp_path: Path) -> None:
    assert qemu.running_pid(tmp_path / "qemu.pid") is None


class FakeQemu:
    """Answers on a control socket from a list, and remembers what it was asked."""

    def __init__(self, directory: Path, answers: list[dict[str, Any]]) -> None:
        self.asked: list[dict[str, Any]] = []
        self._answers = answers
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(directory / "qmp"))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._server.accept()
        with connection, connection.makefile("rw") as lines:
            print('{"QMP": {}}', file=lines, flush=True)
            for answer in [{"return": {}}, *self._answers]:
                self.asked.append(json.loads(lines.readline()))
                print('{"event": "RESUME"}', json.dumps(answer), sep="\n", file=lines, flush=True)
        self._server.close()


def test_a_failed_save_is_reported_with_its_reason(tmp_path: Path) -> None:
    FakeQemu(
        tmp_path,
        [{"return": {}}, {"return": {}}, {"return": {"status": "failed", "error-desc": "No space left"}}],
    )
    with qemu.Qmp(tmp_path) as control, pytest.raises(InternalError, match="No space left"):
        control.save_state(tmp_path / "state")


def test_a_refusal_of_qemu_is_reported_with_its_reason(tmp_path: Path) -> None:
    FakeQemu(tmp_path, [{"error": {"class": "GenericError", "desc": "State blocked"}}])
    with qemu.Qmp(tmp_path) as control, pytest.raises(InternalError, match="refused migrate: State blocked"):
        control.execute("migrate")


def test_a_guest_that_was_restored_stopped_is_an_error(tmp_path: Path) -> None:
    FakeQemu(tmp_path, [{"return": {"status": "paused"}}])
    with qemu.Qmp(tmp_path) as control, pytest.raises(InternalError, match="paused"):
        control.wait_until_running()


def test_qemu_ending_during_a_command_is_an_error(tmp_path: Path) -> None:
    FakeQemu(tmp_path, [])
    with qemu.Qmp(tmp_path) as control, pytest.raises(InternalError, match="query-status"):
        control.execute("query-status")


def test_a_missing_control_socket_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="control socket"):
        qemu.Qmp(tmp_path)
