"""The fleet against real hosts: this machine by its local connection, and by ssh on loopback."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hardener.content import content_dir
from hardener.fleet import Event, Fleet, State, requests
from hardener.fleet.requests import Limits
from hardener.plan import Plan, Step
from tests.integration.sshd import Sshd, free_port, own_environment
from tests.integration.waiting import until
from tests.leftovers import scratch

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
HARDENER = (sys.executable, "-m", "hardener")
LOCAL = {"ansible_connection": "local"}
USER = "hardener-test"

Hardener = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A user without an ansible.cfg, a vault or an agent, whose temporary files can be looked at."""
    # ssh's control sockets live below HOME, and their paths must be short.
    return own_environment(tmp_path_factory.mktemp("tmp"))


@pytest.fixture
def hardener(environment: dict[str, str], tmp_path: Path) -> Hardener:
    """Run the command line; returns when it has ended, in an empty working folder."""
    work = tmp_path / "work"
    work.mkdir()

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*HARDENER, *arguments],
            cwd=work,
            env={**environment, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


@pytest.fixture
def inventory(tmp_path: Path) -> Callable[[Mapping[str, Any]], str]:
    """Write an inventory of hosts and their variables."""

    def write(hosts: Mapping[str, Any]) -> str:
        path = tmp_path / "inventory.yml"
        path.write_text(json.dumps({"all": {"hosts": hosts}}))
        return str(path)

    return write


@pytest.fixture
def sudoer(accounts: None) -> Iterator[str]:
    """A user who may become root by a password, which is the fixture's value."""
    if shutil.which("sudo") is None:
        pytest.fail("sudo is missing: apt-get install sudo", pytrace=False)
    password = secrets.token_hex(8)
    rule = Path("/etc/sudoers.d") / USER
    remove = ["userdel", "--force", "--remove", USER]
    subprocess.run(remove, check=False, capture_output=True)  # a run that was killed has left it
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", USER], check=True)
    try:
        subprocess.run(["chpasswd"], input=f"{USER}:{password}\n", text=True, check=True)
        rule.write_text(f"{USER} ALL=(root) ALL\n")
        rule.chmod(0o440)
        yield password
    finally:
        rule.unlink(missing_ok=True)
        subprocess.run(remove, check=True, stderr=subprocess.DEVNULL)


def hosts_in(report: Path) -> dict[str, dict[str, Any]]:
    return {host["host"]: host for host in json.loads(report.read_text())["hosts"]}


def audited(
    hardener: Hardener, source: str, tmp_path: Path, *arguments: str, **environment: str
) -> dict[str, dict[str, Any]]:
    """Audit, and the hosts of the report; every one has as many findings as any other."""
    report = tmp_path / "report.json"
    result = hardener("audit", "-i", source, "--json", str(report), *arguments, **environment)
    assert result.returncode in (0, 3, 4, 9), result.stderr
    hosts = hosts_in(report)
    assert len({len(host["findings"]) for host in hosts.values()}) == 1
    return hosts


def processes(marker: str, file: str = "cmdline") -> list[int]:
    """Processes that have this text in their command line, or in their ``environ``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if marker.encode() in (entry / file).read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def over(environment: Mapping[str, str]) -> bool:
    """Whether all processes of commands with this environment end in time: nothing can begin any more."""
    return until(lambda: not processes(f"TMPDIR={environment['TMPDIR']}", "environ"))


def test_a_local_host_and_an_ssh_host_are_audited(
    sshd: Sshd, hardener: Hardener, inventory: Callable[[Any], str], tmp_path: Path
) -> None:
    source = inventory({"here": LOCAL, "there": sshd.variables()})
    hosts = audited(hardener, source, tmp_path, "--snapshots", str(tmp_path / "snapshots"))
    assert list(hosts) == ["here", "there"]
    assert not any(host["unreachable"] for host in hosts.values())
    snapshots = [json.loads(path.read_text()) for path in sorted((tmp_path / "snapshots").iterdir())]
    assert [snapshot["host"] for snapshot in snapshots] == ["here", "there"]
    assert [snapshot["collector"]["euid"] for snapshot in snapshots] == [0, 0]
    # Two ways to the same machine.
    boots = {snapshot["sources"]["system"]["data"]["boot_id"] for snapshot in snapshots}
    assert len(boots) == 1


def test_the_local_machine_needs_no_inventory_file(
    hardener: Hardener, environment: dict[str, str], tmp_path: Path
) -> None:
    hosts = audited(hardener, "localhost,", tmp_path)
    assert not hosts["localhost"]["unreachable"]
    assert not list(Path(environment["TMPDIR"]).iterdir()), "temporary files are left"
    assert not list((tmp_path / "work").iterdir()), "files are left where it was called"


def test_a_long_path_of_temporary_files_is_accepted(hardener: Hardener, tmp_path: Path) -> None:
    folder = tmp_path / "build-agent" / ("x" * 90)
    folder.mkdir(parents=True)
    ended = hardener("audit", "-i", "localhost,", TMPDIR=str(folder))
    assert ended.returncode == 3, ended.stderr
    assert list(folder.iterdir()) == []


def test_unreachable_hosts_are_in_the_report_with_the_reason(
    sshd: Sshd, hardener: Hardener, inventory: Callable[[Any], str], tmp_path: Path
) -> None:
    # Ansible shares connections by address, port and user: these would come in by that of "fine".
    alone = {"ansible_ssh_args": "-o ControlPath=none"}
    source = inventory(
        {
            "refused": sshd.variables(ansible_port=free_port()),
            "impostor": sshd.variables(known_hosts=sshd.trust(sshd.another_key()), **alone),
            "stranger": sshd.variables(known_hosts=tmp_path / "empty", **alone),
            "keyless": sshd.variables(ansible_ssh_private_key_file=str(tmp_path / "no-such-key"), **alone),
            "nameless": {"ansible_host": "no-such-host.invalid"},
            "undefined": {**LOCAL, "ansible_connection": "{{ nowhere }}"},
            "snakeless": {**LOCAL, "ansible_python_interpreter": "/no/such/python"},
            "fine": sshd.variables(),
        }
    )
    hosts = audited(hardener, source, tmp_path)
    reasons = {name: host["unreachable"] for name, host in hosts.items()}
    assert reasons.pop("fine") is None
    for name, reason in {
        "refused": "Connection refused",
        "impostor": "Host key verification failed",
        "stranger": "Host key verification failed",
        "keyless": "Permission denied",
        "nameless": "Could not resolve hostname",
        "undefined": "'nowhere' is undefined",
        "snakeless": "/no/such/python",
    }.items():
        assert reason in reasons[name]
        assert len(reasons[name]) < 400
        assert "\n" not in reasons[name]
        assert {finding["status"] for finding in hosts[name]["findings"]} == {"error"}


def test_a_fleet_with_more_hosts_than_forks_is_audited(
    sshd: Sshd, hardener: Hardener, inventory: Callable[[Any], str], tmp_path: Path
) -> None:
    source = inventory({f"web{number:02}": sshd.variables() for number in range(12)})
    hosts = audited(hardener, source, tmp_path, "--limit", "web*:!web03", ANSIBLE_FORKS="4")
    assert list(hosts) == [f"web{number:02}" for number in range(12) if number != 3]
    assert not any(host["unreachable"] for host in hosts.values())


def test_written_files_are_private_under_any_umask(
    sshd: Sshd, environment: dict[str, str], inventory: Callable[[Any], str], tmp_path: Path
) -> None:
    source = inventory({"there": sshd.variables(), "refused": sshd.variables(ansible_port=free_port())})
    out = tmp_path / "out"
    out.mkdir(mode=0o700)
    with scratch("home") as home:  # the control sockets live there
        places = {"HOME": str(home), "XDG_DATA_HOME": f"{home}/data", "XDG_CACHE_HOME": f"{home}/cache"}
        kept = ("--artifacts", f"{out}/artifacts", "--snapshots", f"{out}/new/snapshots")
        reports = ("--json", f"{out}/report.json", "--junit", f"{out}/j.xml")
        runs = (
            ("audit", "-i", source, *kept, *reports),
            ("harden", "-i", source, "--check", "--only", "daemon", "--artifacts", f"{out}/harden", *reports),
        )
        for arguments in runs:
            ended = subprocess.run(
                [*HARDENER, *arguments],
                cwd=out,
                env={**environment, **places},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                umask=0,
                timeout=120,
            )
            assert ended.returncode in (0, 3, 4, 9), ended.stderr
        written = [path for place in (out, home) for path in place.rglob("*") if not path.is_symlink()]
        names = {path.name for path in written}
        assert {"stderr", "there.json", "report.json", "j.xml", "cp"} <= names
        assert len(list((out / "artifacts").rglob("*.json"))) > 5  # the events
        assert [f"{path} {path.stat().st_mode:o}" for path in written if path.stat().st_mode & 0o077] == []


def test_hosts_are_audited_without_a_usable_home_folder(
    sshd: Sshd, hardener: Hardener, inventory: Callable[[Any], str], tmp_path: Path
) -> None:
    source = inventory({"here": LOCAL, "there": sshd.variables()})
    with scratch("tmp") as short:  # the control sockets live there then
        hosts = audited(hardener, source, tmp_path, HOME="/dev/null", TMPDIR=str(short))
        assert not list(short.iterdir()), "temporary files are left"
    assert [host["unreachable"] for host in hosts.values()] == [None, None]


def test_a_policy_that_is_not_a_mapping_is_refused(
    hardener: Hardener, inventory: Callable[[Any], str], tmp_path: Path
) -> None:
    policies: dict[str, Any] = {"none": None, "given": {"docker_group_members": []}, "wrong": [1]}
    source = inventory({name: {**LOCAL, "hardener_policy": policy} for name, policy in policies.items()})
    hosts = audited(hardener, source, tmp_path)
    reasons = {name: host["unreachable"] for name, host in hosts.items()}
    assert "policy" in reasons.pop("wrong")
    assert reasons == {"none": None, "given": None}


def test_hostile_host_names_are_inert(
    hardener: Hardener, inventory: Callable[[Any], str], tmp_path: Path
) -> None:
    names = ["a\nb", "web*", "../../etc/x", "<&\"'>", "a b", "{{ 7 * 7 }}", "ünï", "x" * 200]
    snapshots = tmp_path / "snapshots"
    hosts = audited(hardener, inventory(dict.fromkeys(names, LOCAL)), tmp_path, "--snapshots", str(snapshots))
    assert set(hosts) == set(names)
    assert not any(host["unreachable"] for host in hosts.values())
    assert sorted(json.loads(path.read_text())["host"] for path in snapshots.iterdir()) == sorted(names)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-i", "nowhere.yml"), "inventory nowhere.yml does not exist"),
        (("-i", "broken.yml"), r"cannot read inventory .*/broken\.yml: .*\(.*/broken\.yml:\d+:\d+\)"),
        (("-i", "empty.yml"), "the inventory has no hosts"),
        (("-i", "good.yml", "--limit", "nobody"), "Could not match supplied host pattern: nobody"),
        (("-i", "good.yml", "--limit", "here,nobody"), "Could not match supplied host pattern: nobody"),
        (("-i", "good.yml", "--limit", "!here"), "no hosts to target"),
        (("-i", "vault"), r"no vault secrets found \(give the password: --ask-vault-pass"),
        (("-i", "vault", "--vault-password-file", "wrong"), r"Decryption failed .*right vault password"),
        (("-i", "vault", "--vault-password-file", "missing"), "missing was not found"),
    ],
)
def test_a_fatal_error_is_reported_in_one_line(
    hardener: Hardener, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    work = tmp_path / "work"
    (work / "good.yml").write_text(json.dumps({"all": {"hosts": {"here": LOCAL}}}))
    (work / "broken.yml").write_text("all:\n  hosts: {here: [}\n")
    (work / "empty.yml").write_text("all:\n  hosts: {}\n")
    (work / "wrong").write_text("wrong")
    vault(work / "vault", "v4ult")
    result = hardener("audit", *arguments, "--junit", str(tmp_path / "junit.xml"))
    assert result.returncode == 2
    error = result.stderr.splitlines()[-1]
    assert error.startswith("hardener: error: ")
    assert re.search(message, error), error
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "junit.xml").exists()


def vault(folder: Path, password: str) -> Path:
    """An inventory folder whose group variables are encrypted; returns the file with the password."""
    (folder / "group_vars").mkdir(parents=True)
    (folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"here": LOCAL}}}))
    variables = folder / "group_vars" / "all.yml"
    variables.write_text("hardener_policy: {docker_group_members: [deploy]}\n")
    path = folder.parent / "right"
    path.write_text(password)
    command = [str(BIN / "ansible-vault"), "encrypt", "--vault-password-file", str(path), str(variables)]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.mark.slow
def test_vault_passwords_are_read_from_the_sources_that_ansible_reads(
    hardener: Hardener, tmp_path: Path
) -> None:
    """The policy of a host may be encrypted; the password comes by option, variable or ./ansible.cfg."""
    work = tmp_path / "work"
    password = vault(work / "inv", "v4ult")
    snapshots = tmp_path / "snapshots"
    keep = ("--snapshots", str(snapshots))
    audited(hardener, "inv", tmp_path, *keep, "--vault-password-file", str(password))
    (snapshot,) = snapshots.iterdir()
    assert json.loads(snapshot.read_text())["policy"] == {"docker_group_members": ["deploy"]}
    audited(hardener, "inv", tmp_path, ANSIBLE_VAULT_PASSWORD_FILE=str(password))
    (work / "ansible.cfg").write_text("[defaults]\nvault_password_file = right\n")
    audited(hardener, "inv", tmp_path)


def test_sudo_works_with_the_right_password_only(
    sshd: Sshd,
    sudoer: str,
    environment: dict[str, str],
    inventory: Callable[[Any], str],
    tmp_path: Path,
) -> None:
    source = inventory({"there": sshd.variables(user=USER)})
    for password, reason in ((sudoer, None), ("wrong", "sudo"), (None, "sudo")):
        report, snapshots = tmp_path / "report.json", tmp_path / "snapshots"
        arguments = ["audit", "-i", source, "--json", str(report), "--snapshots", str(snapshots)]
        # In a session of its own there is no terminal: the password is read from standard input.
        result = subprocess.run(
            [*HARDENER, *arguments, *(["-K"] if password else [])],
            env=environment,
            input=f"{password}\n",
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            start_new_session=True,
        )
        unreachable = hosts_in(report)["there"]["unreachable"]
        if reason is None:
            assert unreachable is None, result.stderr
            (snapshot,) = snapshots.iterdir()
            assert json.loads(snapshot.read_text())["collector"]["euid"] == 0
        else:
            assert reason in unreachable
            assert "password" in unreachable.casefold()
        assert sudoer not in result.stdout + result.stderr


@pytest.fixture
def hanging(
    request: pytest.FixtureRequest,
    environment: dict[str, str],
    inventory: Callable[[Any], str],
    tmp_path: Path,
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """An audit of a host whose connection never comes, and what its processes have in their command line.

    A parameter names the program that starts it.
    """
    marker = f"{secrets.randbelow(10**9) + 10**6}"
    ssh = {
        "ansible_ssh_common_args": f"-o ProxyCommand='sleep {marker}'",
        "ansible_ssh_args": "",
        "ansible_timeout": 600,
    }
    process = subprocess.Popen(
        [
            *getattr(request, "param", ()),
            *HARDENER,
            "audit",
            "-K",
            "-i",
            inventory({"dark": ssh}),
            "--junit",
            str(tmp_path / "j.xml"),
        ],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write("s3cret-of-the-test\n")
    process.stdin.flush()
    try:
        deadline = time.monotonic() + 60
        while not processes(f"sleep {marker}") and not processes(f"sleep\0{marker}"):
            assert time.monotonic() < deadline, "the audit did not start"
            time.sleep(0.05)
        yield process, marker
    finally:
        process.send_signal(signal.SIGINT)  # it has removed its files when it ends
        process.communicate(timeout=60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_leaves_no_process_and_no_file(
    hanging: tuple[subprocess.Popen[str], str],
    environment: dict[str, str],
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    process, marker = hanging
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=300)  # the host would get 600 s
    assert process.returncode == 130
    assert stdout == ""
    assert stderr.splitlines()[-1] == "hardener: error: interrupted"
    assert not processes(marker)
    assert not (tmp_path / "j.xml").exists()
    assert not list(Path(environment["TMPDIR"]).iterdir())


@pytest.mark.parametrize("hanging", [(), ("nohup",)], indirect=True, ids=["", "nohup"])
def test_ansible_and_its_tasks_end_if_the_controller_is_killed(
    hanging: tuple[subprocess.Popen[str], str],
) -> None:
    process, marker = hanging
    (ansible,) = children(process.pid)
    process.kill()
    process.communicate(timeout=60)
    assert until(lambda: not Path(f"/proc/{ansible}").exists() and not processes(marker))


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            found += map(int, thread.read_text().split())
    return found


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal."""
    caught = re.search(r"^SigCgt:\s+(\w+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


@pytest.fixture
def endless(inventory: Callable[[Any], str], tmp_path: Path) -> tuple[list[str], str]:
    """An audit of a host whose Python never ends, and the command line of that Python."""
    seconds = f"{secrets.randbelow(10**9) + 10**6}"
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nexec sleep {seconds}\n")
    python.chmod(0o755)
    hosts = inventory({"slow": {**LOCAL, "ansible_python_interpreter": str(python)}})
    command = [*HARDENER, "audit", "-i", hosts, "--home", str(tmp_path / "home")]
    return command, f"sleep\0{seconds}"


@pytest.mark.parametrize("after", [0, 0.3, 0.6, 0.9])
def test_an_interrupt_while_ansible_starts_reaches_no_host(
    environment: dict[str, str], endless: tuple[list[str], str], after: float
) -> None:
    """What was interrupted must not begin later, and nobody waits for it."""
    command, marker = endless
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert until(lambda: catches(process.pid, signal.SIGTERM))  # it has loaded, and starts Ansible
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)  # Ansible would wait for the host much longer
    # Python ends by the signal, 130 to a shell, where it was interrupted in the body of a class of an import.
    assert process.returncode in (130, -signal.SIGINT), stderr
    assert over(environment)
    assert not processes(marker)
    assert not list(Path(environment["TMPDIR"]).iterdir())


def test_a_task_ends_with_ansible_however_it_ends(
    environment: dict[str, str], endless: tuple[list[str], str]
) -> None:
    """Ansible forwards no signal when it is killed, nor to a worker that it is just forking."""
    command, marker = endless
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert until(lambda: processes(marker))
        (ansible,) = children(process.pid)
        os.kill(ansible, signal.SIGKILL)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 4, stderr
    assert over(environment)


def test_an_empty_selection_reaches_no_host(
    hardener: Hardener, environment: dict[str, str], inventory: Callable[[Any], str], tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\ntouch {tmp_path}/reached\n")
    python.chmod(0o755)
    hosts = inventory({"host": {**LOCAL, "ansible_python_interpreter": str(python)}})
    result = hardener("audit", "-i", hosts, "--only", "no-such-control")
    assert (result.returncode, result.stdout) == (2, "")
    assert over(environment)
    assert not (tmp_path / "reached").exists()


@pytest.mark.slow
def test_paths_are_not_templated(hardener: Hardener, tmp_path: Path) -> None:
    for name in ("{{ lookup('pipe', 'touch pwned') }}", "$HOME", "~root"):
        folder = tmp_path / name.replace("/", "")
        audited(hardener, "localhost,", tmp_path, "--snapshots", str(folder))
        assert (folder / "localhost.json").exists()
    assert not list(tmp_path.rglob("pwned"))
    assert not (content_dir() / "playbooks" / "pwned").exists()


def test_a_password_appears_in_no_command_line_environment_or_file(
    hanging: tuple[subprocess.Popen[str], str], environment: dict[str, str]
) -> None:
    secret = b"s3cret-of-the-test"
    assert secret not in b"".join(
        path.read_bytes() for path in Path(environment["TMPDIR"]).rglob("*") if path.is_file()
    )
    looked = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            for name in ("cmdline", "environ"):
                try:
                    assert secret not in (entry / name).read_bytes(), entry
                    looked += 1
                except OSError:
                    continue
    assert looked > 10


def test_the_output_of_ansible_is_kept_on_request(hardener: Hardener, tmp_path: Path) -> None:
    kept = tmp_path / "artifacts"
    audited(hardener, "localhost,", tmp_path, "--artifacts", str(kept), SOME_TOKEN="t0ken-of-the-test")
    assert "PLAY RECAP" in (kept / "audit" / "stdout").read_text()
    assert list((kept / "audit" / "job_events").glob("*.json"))
    assert not any("t0ken-of-the-test" in path.read_text() for path in kept.rglob("*") if path.is_file())


def test_the_playbook_runs_with_plain_ansible(environment: dict[str, str], tmp_path: Path) -> None:
    command = ["-i", "localhost,", "-c", "local", "playbooks/audit.yml", "-e", f"collect_dest={tmp_path}/s"]
    words = [str(BIN / "ansible-playbook"), *command]
    done = subprocess.run(words, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    assert json.loads((tmp_path / "s" / "localhost.json").read_text())["host"] == "localhost"


class Quiet:
    """A watcher that needs nothing."""

    def event(self, event: Event) -> None:
        pass

    def difference(self, host: str, difference: Any) -> None:
        pass


@pytest.mark.slow
def test_only_hosts_of_a_batch_are_changed_and_only_inside_their_windows(
    inventory: Callable[[Any], str],
) -> None:
    """None of them has a Python, so that none could be changed: the window is looked at before."""
    unable = {**LOCAL, "ansible_python_interpreter": "/no/such/python"}
    closed = {"converge_windows": ["Mon 00:00-00:01 UTC", "Thu 00:00-00:01 UTC"]}
    source = inventory({"other": unable, "open": unable, "closed": {**unable, **closed}})
    steps = (Step("docker_daemon", "docker_daemon_icc", ()),)
    plans = [Plan("open", steps), Plan("closed", steps)]
    fleet = Fleet(inventory=source, limit="other").only(["closed", "open"])
    with requests.harden(fleet, plans, Limits(), check=False, differences=False) as answers:
        (answer,) = answers.each(Quiet())
    assert (answer.host, answer.state) == ("closed", State.FAILED)
    assert answer.not_begun.startswith("outside its maintenance windows (Mon 00:00-00:01 UTC; Thu")
    assert {host: each.state for host, each in answers.outcomes.items()} == {
        "open": State.FAILED,
        "closed": State.FAILED,
    }
    assert "/no/such/python" in answers.outcomes["open"].reason
