"""The scripts of .ci end with nothing left, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hanging import must_end

CI = Path(__file__).parents[3] / ".ci"
DEMO = CI.parent / "tools/demo/demo"
POLICY = "/usr/sbin/policy-rc.d"
WAITS = "touch waits; exec sleep 600"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts programs in front of the machine's own."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("BIN", str(tmp_path / "bin"))
    monkeypatch.setenv("RESULTS", str(tmp_path / "results"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()

    def put(name: str, text: str) -> None:
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    put("sudo", 'exec "$@"')
    return put


def begun(*command: str) -> subprocess.Popen[bytes]:
    """A script that has come to what ``WAITS``."""
    process = subprocess.Popen(["sh", *command], stderr=subprocess.DEVNULL, start_new_session=True)
    while not Path("waits").exists():
        assert process.poll() is None
        time.sleep(0.01)
    Path("waits").unlink()
    return process


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_the_demo_removes_its_guest_at_a_signal(
    program: Callable[[str, str], None], number: signal.Signals
) -> None:
    program("hardener", f'echo "$@" >>called\n[ "$1" != harden ] || {{ {WAITS}; }}')
    with must_end(), begun(str(DEMO)) as demo:
        demo.send_signal(number)
        assert demo.wait() == 128 + number
    called = Path("called").read_text().splitlines()
    guests = [
        line for line in called if line.startswith(("lab up", "lab down"))
    ]  # a follower says more, late
    assert guests == ["lab up --name make-demo", "lab down --name make-demo"]


def test_a_demo_beside_another_one_is_refused(program: Callable[[str, str], None]) -> None:
    program("hardener", f'echo "$@" >>called\n[ "$1" != harden ] || {{ {WAITS}; }}')
    with must_end(), begun(str(DEMO)) as demo:
        called = Path("called").read_text()
        second = subprocess.run([DEMO], check=False, capture_output=True, text=True)
        assert second.returncode == 2
        assert "another demo is running" in second.stderr
        assert Path("called").read_text() == called
        demo.terminate()


def test_a_demo_begins_without_the_guest_of_a_killed_one(
    program: Callable[[str, str], None], tmp_path: Path
) -> None:
    program("hardener", 'echo "$@" >>called')
    program("ansible-playbook", "echo '[ERROR]: … rolled back, everything is as it was before'; exit 2")
    for there in (False, True):
        if there:
            (tmp_path / "cache/hardener/lab/guests/make-demo").mkdir(parents=True)
        subprocess.run([DEMO], check=True, capture_output=True)
        lab = [line for line in Path("called").read_text().splitlines() if line.startswith("lab")]
        begin = ["lab down --name make-demo"] if there else []
        assert [line for line in lab if " ssh " not in line] == [
            *begin,
            "lab up --name make-demo",
            "lab down --name make-demo",
        ]
        Path("called").unlink()


@pytest.fixture
def install(program: Callable[[str, str], None], tmp_path: Path) -> Path:
    """The installation of packages, with a policy elsewhere, and a package manager that ``WAITS``."""
    program("dpkg-query", "exit 1")
    program("apt-get", f'case "$*" in *install*) {WAITS} ;; esac')
    script = tmp_path / "install-packages"
    script.write_text((CI / "install-packages").read_text().replace(POLICY, str(tmp_path / "policy")))
    return script


def allowed() -> bool:
    """Whether the policy lets daemons start."""
    return subprocess.run(["sh", "policy"], check=False).returncode == 0


def install_nothing(install: Path) -> None:
    """A run that finds all packages installed."""
    subprocess.run(["sh", install], check=True)


def test_a_killed_installation_leaves_no_policy_in_effect_and_the_next_removes_it(install: Path) -> None:
    with begun(str(install), "docker.io") as process:
        assert not allowed()
        install_nothing(install)
        assert not allowed()  # another run leaves it alone
        os.killpg(process.pid, signal.SIGKILL)
    assert allowed()
    install_nothing(install)
    assert not Path("policy").exists()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_installation_removes_its_policy(install: Path, number: signal.Signals) -> None:
    with must_end(), begun(str(install), "docker.io") as process:
        assert Path("policy").exists()
        os.killpg(process.pid, number)
        assert process.wait() == 128 + number
    assert not Path("policy").exists()


def test_a_policy_of_the_user_is_kept(install: Path) -> None:
    Path("policy").write_text("exit 0\n")
    with begun(str(install), "docker.io") as process:
        os.killpg(process.pid, signal.SIGTERM)
    assert Path("policy").read_text() == "exit 0\n"
