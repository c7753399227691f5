"""A profile on a real engine: containers start under it, do what was recorded, and are refused the rest."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hardener.workload.artefacts import artefacts, override
from hardener.workload.compose import edited
from hardener.workload.profile import Profile, make
from hardener.workload.recording import build
from hardener.workload.settings import interpolated, recorded_keys, run_arguments, service_keys
from tests.integration.dockerd import IMAGE, Dockerd
from tests.integration.probe import Call, ends, probe
from tests.unit.workload.recordings import document

EPERM, EROFS, ENOSYS = 1, 30, 38
HIGH = 1 << 32

# Number and arguments, the error under the engine's default (None: the kernel's), and under the profile.
CALLS: dict[str, tuple[Call, int | None, int]] = {
    "socket(AF_UNIX)": ((41, 1, 1, 0), 0, 0),
    "socket(AF_INET)": ((41, 2, 1, 0), 0, 0),
    "socket(AF_ALG)": ((41, 38, 5, 0), None, EPERM),
    "socket(AF_VSOCK)": ((41, 40, 1, 0), EPERM, EPERM),
    "socket(AF_VSOCK and a bit that the kernel ignores)": ((41, 40 | HIGH, 1, 0), None, EPERM),
    "mkdir in memory": ((83, "/run/made", 0o755), 0, 0),
    "mkdir in the root": ((83, "/made", 0o755), 0, EROFS),
    "chown, whose capability is kept": ((92, "/run/made", 7, 7), 0, 0),
    "setuid, whose capability is not": ((105, 7), 0, EPERM),
    "getpid": ((39,), 0, 0),
    "ptrace": ((101, 0, 0, 0, 0), 0, EPERM),
    "memfd_create": ((319, "x", 0), 0, EPERM),
    "symlink": ((88, "x", "/run/link"), 0, EPERM),
    "personality": ((135, 0xFFFFFFFF), 0, EPERM),
    "keyctl": ((250, 0, 0, 0), EPERM, EPERM),
    "unshare(CLONE_NEWUSER)": ((272, 0x10000000), EPERM, EPERM),
    "clone(CLONE_NEWUSER | CLONE_SIGHAND)": ((56, 0x10000800), EPERM, EPERM),
    "clone(CLONE_SIGHAND), which the kernel refuses": ((56, 0x800), 22, 22),
    "clone3": ((435, 0, 0), ENOSYS, ENOSYS),
    "faccessat2": ((439, 0, "/", 0, 0), 0, 0),
    "pidfd_open": ((434, 1, 0), 0, ENOSYS),
    "io_uring_setup": ((425, 1, 0), EPERM, ENOSYS),
}
SEEN = ("chown", "exit_group", "execve", "mkdir", "setuid", "socket", "write")


@pytest.fixture(scope="module")
def engine() -> Iterator[Dockerd]:
    with Dockerd() as engine:
        engine.build(
            "probe:test",
            'FROM busybox:test\nADD probe /probe\nCMD ["/probe"]',
            {"probe": probe([call for call, _, _ in CALLS.values()])},
        )
        yield engine


def bundle(engine: Dockerd, container: str) -> dict[str, Any]:
    """What the runtime was told of a container."""
    (found,) = engine.root.rglob(f"*/{container}/config.json")
    answer: dict[str, Any] = json.loads(found.read_text())
    return answer


@pytest.fixture(scope="module")
def profile(engine: Dockerd) -> Profile:
    """A profile as from a recording of the probe; the engine's default is its own."""
    throwaway = bundle(engine, engine.run(host_config={"NetworkMode": "none"}))
    data = document()
    data["container"]["mounts"] = []
    data["host"]["lsm"] = []
    data["calls"] = {"x86_64": {name: {"phases": ["serve"], "programs": ["probe"]} for name in SEEN}}
    data["files"] = {**data["files"], "created": ["/run/made"], "executed": ["/probe"], "read": []}
    data["granted"] = {
        "capabilities": sorted(throwaway["process"]["capabilities"]["bounding"]),
        "seccomp": throwaway["linux"]["seccomp"],
    }
    data["identities"][0]["bounding"] = data["granted"]["capabilities"]
    # Behind the filter, with no-new-privileges, of runc 1.1.15.
    base = "close epoll_ctl execve fcntl fstatfs futex getdents64 getpid openat rt_sigreturn write"
    data["runtime_base"]["no_new_privileges"] = base.split()
    return make([("probe", build(data, name="probe"))])


@pytest.fixture
def folder(profile: Profile, tmp_path: Path) -> Path:
    for name, text in artefacts(profile.document).items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def compose(engine: Dockerd) -> list[str]:
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.fail("docker compose is missing: apt-get install docker-compose", pytrace=False)
    return ["docker", "--host", engine.host, "compose"]


def printed(engine: Dockerd, *arguments: str, folder: Path | None = None) -> dict[str, int]:
    """The error of each call in a container that is started with these arguments."""
    command = ["docker", "--host", engine.host, "run", "--rm", "--network=none", *arguments, "probe:test"]
    found = subprocess.run(command, capture_output=True, cwd=folder, check=False)
    assert found.returncode == 0, found.stderr.decode()
    return dict(zip(CALLS, ends(found.stdout.decode("latin-1")), strict=True))


def test_the_default_seccomp_profile_of_the_engine_refuses_the_expected_calls(engine: Dockerd) -> None:
    found = printed(engine, "--tmpfs=/run")
    assert {name: error for name, error in found.items() if CALLS[name][1] is not None} == {
        name: error for name, (_, error, _) in CALLS.items() if error is not None
    }
    assert found["socket(AF_ALG)"] != EPERM
    assert found["socket(AF_VSOCK and a bit that the kernel ignores)"] != EPERM


def test_recorded_calls_work_and_all_others_are_refused(
    engine: Dockerd, profile: Profile, folder: Path
) -> None:
    for _ in range(3):  # the runtime's own calls vary from start to start
        found = printed(engine, *run_arguments(profile.document), folder=folder)
        assert found == {name: error for name, (_, _, error) in CALLS.items()}


SHELL = """cd /; ls / | wc -l; sleep 0 & wait; test -f /etc/passwd; kill -0 $$; echo "end-$((20 + 22))"
exit
"""


@pytest.mark.parametrize("no_exec", [False, True])
def test_a_shell_works_in_a_container_unless_its_calls_are_refused_by_request(
    engine: Dockerd, profile: Profile, tmp_path: Path, *, no_exec: bool
) -> None:
    named = [("probe", profile.merged.one)]
    for name, text in artefacts(make(named, no_exec=no_exec).document).items():
        (tmp_path / name).write_text(text)
    options = [*run_arguments(make(named, no_exec=no_exec).document), "--network=none", "--detach"]
    docker = f"docker --host {engine.host}"
    run = [*docker.split(), "run", *options, IMAGE, "sleep", "1000000"]
    container = subprocess.run(run, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()
    try:
        shell = subprocess.run(
            [
                "script",
                "--quiet",
                "--command",
                f"{docker} exec --interactive --tty {container} sh",
                "/dev/null",
            ],
            input=SHELL,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        engine.docker("rm", "--force", container)
    assert ("end-42" in shell.stdout and "not permitted" not in shell.stdout) is not no_exec, shell.stdout


def test_the_arguments_are_quoted_for_a_shell(engine: Dockerd, folder: Path) -> None:
    """As the guide says to use the file; the container gets what the profile says."""
    create = f"docker --host {engine.host} create --network=none $(tr '\\n' ' ' < docker-run.txt) probe:test"
    container = subprocess.run(
        ["sh", "-c", f'eval "{create}"'], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()
    found = engine.api("GET", f"/containers/{container}/json")["HostConfig"]
    assert (found["CapDrop"], found["CapAdd"]) == (["ALL"], ["CHOWN"])
    assert found["ReadonlyRootfs"] is True
    assert found["PidsLimit"] is None
    assert found["Tmpfs"] == {"/run": "rw,nosuid,nodev,size=256m,noexec,mode=1777"}
    assert "no-new-privileges=true" in found["SecurityOpt"]


COMPOSE = """\
# the project
services:
  web:
    image: probe:test  # kept
    network_mode: none
    cap_add: [NET_ADMIN]
"""
PLAIN = COMPOSE.replace("    cap_add: [NET_ADMIN]\n", "")


def services_of(compose: list[str], folder: Path, *files: str) -> dict[str, Any]:
    named = [argument for file in files for argument in ("-f", file)]
    command = [*compose, *named, "config", "--format", "json"]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    services: dict[str, Any] = json.loads(found.stdout)["services"]
    return services


def understood(compose: list[str], folder: Path, *files: str) -> dict[str, Any]:
    """What docker compose makes of the service in these files."""
    service: dict[str, Any] = services_of(compose, folder, *files)["web"]
    return service


def test_both_compose_files_mean_the_same_to_docker_compose(
    compose: list[str], profile: Profile, folder: Path
) -> None:
    keys = service_keys(profile.document)
    written = {key: interpolated(value) for key, value in keys.items()}
    changed_text = edited(COMPOSE, written, service="web", name="compose.yaml", recorded={})
    (folder / "changed.yaml").write_text(changed_text)
    (folder / "plain.yaml").write_text(PLAIN)
    changed = understood(compose, folder, "changed.yaml")
    assert changed == understood(compose, folder, "plain.yaml", "compose.override.yaml")
    assert changed["cap_add"] == ["CHOWN"]
    assert "pids_limit" not in changed
    assert changed["read_only"] is True


# What a service can have, as one of its keys, and as a recording of its container has it.
LIMIT = 100
HAD: dict[str, tuple[str, dict[str, Any]]] = {
    "cap_add": ("cap_add: [NET_ADMIN, CAP_SYS_TIME]", {"capabilities_added": ["NET_ADMIN", "CAP_SYS_TIME"]}),
    "security_opt": ("security_opt: [seccomp=unconfined]", {"security_options": ["seccomp=unconfined"]}),
    "tmpfs": ("tmpfs: ['/tmp:size=1m']", {}),
    "limit": (f"pids_limit: {LIMIT}", {}),
    "deployed": (f"deploy: {{resources: {{limits: {{memory: 1g, pids: {LIMIT}}}}}}}", {}),
    "memory below": ("deploy: {resources: {limits: {memory: 1g}}}", {}),
    "memory": ("mem_limit: 1g", {}),
}
HAVING = [*([each] for each in HAD), [*HAD][:5], []]


def written(keys: list[str], lead: str) -> str:
    return "".join(f"{lead}{HAD[key][0]}\n" for key in keys)


def projects() -> dict[str, str]:
    """Compose files in which services have these keys from each place."""
    services = merged = ""
    earlier = later = "services:\n"
    for number, keys in enumerate(HAVING):
        merged += f"x-{number}: &x{number}\n  image: probe:test\n{written(keys, '  ')}"
        services += f"  own{number}:\n    image: probe:test\n{written(keys, '    ')}"
        services += f"  merge{number}:\n    <<: *x{number}\n    network_mode: none\n"
        services += f"  base{number}:\n    image: probe:test\n{written(keys, '    ')}"
        services += f"  extended{number}:\n    extends:\n      service: base{number}\n"
        services += f"  file{number}:\n    extends: {{file: earlier.yaml, service: earlier{number}}}\n"
        earlier += f"  earlier{number}:\n    image: probe:test\n{written(keys, '    ')}"
        # What the file has itself does not show what the earlier one has.
        own = "    cap_add: [CHOWN]\n" if number % 2 else written(keys, "    ")
        later += f"  earlier{number}:\n    network_mode: none\n{own}"
    return {"one.yaml": f"{merged}services:\n{services}", "earlier.yaml": earlier, "later.yaml": later}


def having(keys: list[str], profile: Profile) -> Profile:
    """The profile of a container that has these keys."""
    one = profile.merged.one
    data = one.model_dump(mode="json")
    for key in keys:
        data["container"].update(HAD[key][1])
    return make([("probe", build(data, name="probe"))])


def limits(service: dict[str, Any]) -> set[int]:
    below = service.get("deploy", {}).get("resources", {}).get("limits", {})
    return {each for each in (service.get("pids_limit"), below.get("pids")) if each is not None}


def test_a_service_gets_exactly_the_rights_of_its_profile_from_wherever_it_had_others(
    compose: list[str], profile: Profile, folder: Path
) -> None:
    files = projects()
    overrides = []
    for name, text in files.items():
        (folder / name).write_text(text)

    for number, keys in enumerate(HAVING):
        made = having(keys, profile).document
        settings = interpolated(service_keys(made))
        for service in ("own", "merge", "extended", "file", "earlier"):
            file, named = "later.yaml" if service == "earlier" else "one.yaml", f"{service}{number}"
            overrides.append(f"override-{named}.yaml")
            (folder / overrides[-1]).write_text(override(made.model_copy(update={"service": named})))
            files[file] = edited(
                files[file],
                settings,
                service=named,
                name=file,
                recorded=recorded_keys(made),
                several=service == "earlier",
            )
    for name, text in files.items():
        (folder / f"changed-{name}").write_text(text)
    found = [
        services_of(compose, folder, "changed-one.yaml"),
        services_of(compose, folder, "earlier.yaml", "changed-later.yaml"),
        services_of(compose, folder, "one.yaml", *(each for each in overrides if "earlier" not in each)),
        services_of(compose, folder, "earlier.yaml", *(each for each in overrides if "earlier" in each)),
    ]
    checked = 0
    for services in found:
        for name, service in services.items():
            kind, keys = name.rstrip("0123456789"), HAVING[int(name[-1])]
            if kind == "base":
                continue
            checked += 1
            assert service["cap_add"] == ["CHOWN"], name
            assert service["security_opt"] == ["seccomp=./seccomp.json", "no-new-privileges=true"], name
            targets = {each.partition(":")[0] for each in service["tmpfs"]}
            assert targets == ({"/run", "/tmp"} if "tmpfs" in keys else {"/run"}), name
            assert limits(service) == ({LIMIT} if {"limit", "deployed"} & {*keys} else set()), name
    assert checked == 10 * len(HAVING)


def test_docker_compose_starts_the_service(compose: list[str], folder: Path) -> None:
    (folder / "compose.yaml").write_text(PLAIN)
    files = ["-f", "compose.yaml", "-f", "compose.override.yaml"]
    command = [*compose, *files, "run", "--rm", "--no-TTY", "web"]
    found = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    assert found.returncode == 0, found.stderr.decode()
    assert ends(found.stdout.decode("latin-1")) == [error for _, _, error in CALLS.values()]


HOSTILE = "/run/$(touch x)`id` ${HOME} '\" #{a}[b]*?^\\"


def test_a_hostile_path_is_taken_literally(compose: list[str], folder: Path) -> None:
    data = document()
    data["container"]["mounts"] = []
    data["files"]["created"] = [f"{HOSTILE}/file"]
    data["granted"]["seccomp"] = None
    hostile = make([("x", build(data, name="x"))])
    assert [each.path for each in hostile.document.root.tmpfs] == [HOSTILE]
    for name, text in artefacts(hostile.document).items():
        (folder / name).write_text(text)
    script = "eval \"printf '%s\\\\n' $(tr '\\n' ' ' < docker-run.txt)\""
    found = subprocess.run(["sh", "-c", script], cwd=folder, check=True, capture_output=True, text=True)
    assert found.stdout.splitlines() == list(run_arguments(hostile.document))
    assert not (folder / "x").exists()
    (folder / "compose.yaml").write_text("services:\n  web:\n    image: probe:test\n")
    tmpfs = understood(compose, folder, "compose.yaml", "compose.override.yaml")["tmpfs"]
    assert [each.replace("$$", "$").rpartition(":")[0] for each in tmpfs] == [HOSTILE]


def test_apparmor_parser_takes_hostile_paths_literally(tmp_path: Path) -> None:
    parser = shutil.which("apparmor_parser", path="/usr/sbin:/sbin")
    if parser is None:
        pytest.fail("apparmor_parser is missing: apt-get install apparmor", pytrace=False)
    data = document()
    data["container"]["mounts"] = []
    names = ['a"', "b\\", "c#", "d,", "@{HOME}", "e {f,g}", "h*[i]?", "j^", "k rwx,", "ü→", "\\xff", "l\\n"]
    data["files"]["executed"] = [f"/srv/{name}" for name in names]
    made = make([("x", build(data, name="x"))])
    assert made.document.apparmor is not None
    path = tmp_path / "profile"
    path.write_text(made.document.apparmor.text)
    command = [parser, "--skip-kernel-load", "--skip-cache", "--debug"]
    found = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    rules = [line for line in found.stdout.splitlines() if "/srv/" in line]
    assert len(rules) == len(names)
