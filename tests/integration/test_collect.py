"""The collector on a real engine and its containers."""

from __future__ import annotations

import itertools
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker import engine as finding
from ansible_collections.hardener.docker.plugins.module_utils.host.debian import newer
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.filestat import Files

from hardener.assess import assess
from hardener.catalogue import DEFAULT_BENCHMARK, load
from hardener.checks import all_checks
from hardener.model import Status
from hardener.snapshot import Snapshot
from tests.integration.collector import collect, container, proc
from tests.integration.dockerd import IMAGE, Dockerd
from tests.integration.sshd import free_port
from tests.integration.waiting import until


@pytest.fixture(scope="module")
def dockerd() -> Iterator[Dockerd]:
    """An engine that starts a containerd itself."""
    with Dockerd(starts_containerd=True) as engine:
        engine.ensure_image()
        yield engine


@pytest.fixture
def engine(dockerd: Dockerd) -> Iterator[Dockerd]:
    yield dockerd
    dockerd.remove_containers()


SECRET = "hunter2-never-leaves"
NET_ADMIN = 1 << 12  # a capability that docker never gives unasked


def test_facts_of_a_running_engine_are_collected(engine: Dockerd) -> None:
    run = collect(engine.socket)
    found = run.data("engine")
    assert (found["installed"], found["reachable"], found["error"]) == (True, True, None)
    assert (found["pid"], found["pid_from"], found["euid"], found["rootless"]) == (
        engine.pid,
        "peer",
        0,
        False,
    )
    assert found["started"] == pytest.approx(time.time(), abs=3600)
    assert found["containerd_socket"] == f"{engine.root}/exec/containerd/containerd.sock"
    assert Path(f"/proc/{found['containerd_pid']}/comm").read_text() == "containerd\n"
    assert found["binaries"]["dockerd"] == str(Path(f"/proc/{engine.pid}/exe").readlink())
    assert run.data("docker.info")["DockerRootDir"] == str(engine.data_root)
    version = run.data("docker.version")
    assert found["api_version"] == version["ApiVersion"]
    config = run.data("daemon.config")
    assert (config["path"], config["argv_from"]) == (str(engine.config_file), "process")
    assert config["argv"] == engine.command
    files = run.data("files")
    assert files[str(engine.socket)]["type"] == "socket"
    assert files[str(engine.data_root)]["type"] == "dir"
    assert files[str(engine.root)]["type"] == "dir"
    assert run.document["collector"]["euid"] == 0


def test_flags_of_every_form_and_a_tcp_socket_are_collected() -> None:
    port = free_port()
    flags = [
        "-D",
        "-l",
        "debug",
        "--icc=false",
        "-H",
        f"tcp://127.0.0.1:{port}",
        "--label",
        "a=b",
        "--label=--c=d",
    ]
    with Dockerd(flags=flags) as other:
        run = collect(other.socket)
        found = run.data("daemon.config")["declared"]
        assert found["debug"] == {"value": True, "origin": "--debug"}
        assert found["log-level"] == {"value": "debug", "origin": "--log-level"}
        assert found["icc"] == {"value": False, "origin": "--icc"}
        assert found["labels"] == {"value": ["a=b", "--c=d"], "origin": "--label"}
        assert found["hosts"]["value"] == [other.host, f"tcp://127.0.0.1:{port}"]
        assert run.data("daemon.config")["unknown_flags"] == []
        assert run.data("engine")["listening"] == [
            {"address": "127.0.0.1", "port": port, "process": "dockerd"}
        ]
        host = [entry for entry in run.data("listening") if entry["port"] == port]
        assert [(entry["netns"], entry["process"]) for entry in host] == [("host", "dockerd")]


def test_an_invalid_daemon_json_is_reported_while_the_daemon_runs() -> None:
    with Dockerd(config={"icc": False}) as other:
        told = collect(other.socket).data("daemon.config")["declared"]
        assert told["icc"] == {"value": False, "origin": "file"}
        other.configure('{"icc": false, "log-opts": {"a": "1", "a": "2"}, "icc": true}')
        found = collect(other.socket).data("daemon.config")
        assert found["duplicate_keys"] == ["icc", "log-opts.a"]
        assert (found["declared"]["icc"]["value"], found["error"]) == (True, None)
        other.configure('{"icc": false')
        run = collect(other.socket)
        found = run.data("daemon.config")
        assert (found["exists"], "icc" in found["declared"]) == (True, False)
        assert found["error"].startswith("not JSON")
        assert run.data("docker.info")["ID"]


def test_a_stopped_daemon_is_described() -> None:
    with Dockerd() as other:
        other.stop()
        run = collect(other.socket)
        found = run.data("engine")
        assert (found["installed"], found["reachable"]) == (True, False)
        for source in ("docker.version", "docker.info", "docker.containers", "docker.images", "docker.swarm"):
            assert str(other.socket) in run.failure(source)
        assert run.data("sysctl")
        assert run.data("mounts")


def test_an_engine_in_a_container_is_not_taken_for_that_of_the_host(engine: Dockerd) -> None:
    engine.build(
        "dind:test", 'FROM busybox:test\nRUN ["/bin/busybox", "cp", "/bin/busybox", "/bin/dockerd"]\n'
    )
    command = ["sh", "-c", "exec -a busybox /bin/dockerd sleep 100000"]
    inner = engine.run("dind", image="dind:test", command=command)
    pid = engine.api("GET", f"/containers/{inner}/json")["State"]["Pid"]
    assert until(lambda: Path(f"/proc/{pid}/comm").read_text() == "dockerd\n")
    assert finding._runs_on_host(engine.pid)
    assert not finding._runs_on_host(pid)


def test_effective_privileges_and_limits_of_containers_are_collected(engine: Dockerd) -> None:
    plain = engine.run("plain")
    privileged = engine.run("privileged", host_config={"Privileged": True})
    shared = engine.run("shared", host_config={"NetworkMode": "host", "PidMode": "host", "UTSMode": "host"})
    limits = {
        "Memory": 64 << 20,
        "PidsLimit": 50,
        "CpuShares": 512,
        "CpuQuota": 50000,
        "SecurityOpt": ["no-new-privileges"],
        "CapDrop": ["ALL"],
        "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
    }
    limited = engine.run("limited", host_config=limits, User="65534:65534")
    stopped = engine.create("stopped", host_config={"Privileged": True})
    run = collect(engine.socket)

    found = proc(run, plain)
    assert (found["seccomp"], found["no_new_privs"], found["uid"]) == (2, 0, 0)
    assert int(found["cap_eff"], 16) & NET_ADMIN == 0
    assert not {"net", "pid", "ipc", "uts", "mnt"} & set(found["host_namespaces"])
    assert "user" in found["host_namespaces"]
    assert found["uid_map"] == [[0, 0, 4294967295]]
    assert [(entry["comm"], entry["uid"]) for entry in found["processes"]] == [("sleep", 0)]
    assert found["processes_total"] == 1
    assert (found["cgroup"]["memory_max"], found["cgroup"]["pids_max"]) == (None, None)
    assert plain in found["cgroup"]["path"]

    found = proc(run, privileged)
    assert found["seccomp"] == 0
    assert int(found["cap_eff"], 16) & NET_ADMIN

    assert {"net", "pid", "uts"} <= set(proc(run, shared)["host_namespaces"])

    found = proc(run, limited)
    assert (found["no_new_privs"], found["uid"], found["gid"]) == (1, 65534, 65534)
    assert int(found["cap_eff"], 16) == 0
    assert found["cgroup"]["memory_max"] == 64 << 20
    assert found["cgroup"]["pids_max"] == 50
    assert found["cgroup"]["cpu_max"].startswith("50000 ")
    assert found["cgroup"]["cpu_weight"] < 100
    assert found["limits"]["Max open files"] == ["100", "200"]

    assert container(run, stopped)["proc"] is None
    assert container(run, stopped)["inspect"]["HostConfig"]["Privileged"] is True


def test_listening_sockets_in_containers_are_collected(engine: Dockerd) -> None:
    command = ["sh", "-c", "httpd -p 8080 & httpd -p 8081 & exec sleep 100000"]
    inside = engine.run("listens", command=command)
    beside = engine.run("beside", host_config={"NetworkMode": f"container:{inside}"})
    port = free_port()
    outside = engine.run(
        "outside", command=["httpd", "-f", "-p", f"127.0.0.1:{port}"], host_config={"NetworkMode": "host"}
    )
    for _ in range(100):
        run = collect(engine.socket)
        if len(proc(run, inside)["listening"]) == 2 and proc(run, outside)["listening"]:
            break
        time.sleep(0.1)
    found = proc(run, inside)
    assert sorted(entry["port"] for entry in found["listening"]) == [8080, 8081]
    assert {entry["process"] for entry in found["listening"]} == {"httpd"}
    assert {(entry["comm"], entry["exe"]) for entry in found["processes"]} == {
        ("sleep", "/bin/busybox"),
        ("httpd", "/bin/busybox"),
    }
    assert found["processes_total"] == 3
    assert len(proc(run, beside)["listening"]) == 2
    assert [entry["port"] for entry in proc(run, outside)["listening"]] == [port]
    everywhere = {(entry["netns"], entry["port"]) for entry in run.data("listening")}
    assert {(inside, 8080), (inside, 8081), ("host", port)} <= everywhere
    assert (outside, port) not in everywhere


def test_mounted_files_and_bind_volumes_are_collected(engine: Dockerd, tmp_path: Path) -> None:
    secret, link = tmp_path / "real", tmp_path / "link"
    secret.mkdir()
    link.symlink_to(secret)
    options = {"type": "none", "o": "bind", "device": str(secret)}
    engine.api("POST", "/volumes/create", {"Name": "disguised", "DriverOpts": options})
    try:
        engine.run("mounts", host_config={"Binds": [f"{link}:/data", "disguised:/more"]})
        run = collect(engine.socket)
        assert run.data("files")[str(link)]["target"] == str(secret)
        assert run.data("files")[str(secret)]["type"] == "dir"
        volume = next(volume for volume in run.data("docker.volumes") if volume["Name"] == "disguised")
        assert volume["Options"] == options
    finally:
        engine.remove_containers()
        engine.api("DELETE", "/volumes/disguised")


def test_a_hostile_container_does_not_affect_the_snapshot(engine: Dockerd) -> None:
    markup = "<script>alert(1)</script>\x1b[31m\r\n]]>&\u202e\U0001f600"
    big = "x" * (1 << 20)
    hostile = engine.run(
        "hostile",
        labels={"a": big, markup: markup, "b" * 1000: ""},
        env=[f"A={big}", f"{markup}=1"],
        command=["sleep", "100000", markup, "y" * 100_000],
    )
    engine.build(
        "hostile:test", f'FROM {IMAGE}\nLABEL a="{"z" * 60_000}" b="<b>&\u202e"\nENV C="<i>" D="e f"\n'
    )
    engine.api("POST", f"/containers/{hostile}/stop?t=0")
    run = collect(engine.socket)
    found = container(run, hostile)["inspect"]
    assert len(run.printed) < 2 << 20
    assert found["Config"]["Labels"]["a"].endswith("[cut: 1048576 characters]")
    assert found["Config"]["Labels"][markup] == markup
    assert found["Args"][1] == markup
    assert run.peak_mb < 120
    assert run.data("docker.images")


def test_an_image_with_huge_texts_is_read_in_bounded_time(engine: Dockerd) -> None:
    """Its texts once took the square of their length, or the cube: hours."""
    values = {
        "TOKENS": "-eyJ" * (1 << 18),
        "USERS": "curl " + "!-u" * 300_000,
        "BLANKS": "passw" + " " * 500_000,
        **{f"NAME{number}": "value" for number in range(10_000)},
    }
    created = engine.api(
        "POST",
        "/containers/create?name=never-ran",
        {
            "Image": IMAGE,
            "Env": [f"{name}={value}" for name, value in values.items()],
            "Cmd": ["sh", "-c", "[trusted=yes" * 5000 + " chmod +" + "s" * 5000 + "0"],
            "Labels": {"-eyJ" * 10_000: "-eyJ" * 10_000},
            "Entrypoint": ["mysql"] * 2000,
        },
    )
    engine.api("POST", f"/commit?container={created['Id']}&repo=never-ran&tag=1")
    try:
        run = collect(engine.socket)
        assert "NAME9999=" in str(container(run, created["Id"])["inspect"]["Config"]["Env"])
        names = [image["inspect"]["RepoTags"] for image in run.data("docker.images")]
        assert ["never-ran:1"] in names
        assert len(names) > 1
        assessment = assess(Snapshot(run.document), load(DEFAULT_BENCHMARK), benchmark=DEFAULT_BENCHMARK)
        errors = {f.control.slug: f.verdict.actual for f in assessment.findings if f.status is Status.ERROR}
        assert not {slug: why for slug, why in errors.items() if "docker." in why}
        assert not [slug for slug in errors if slug.startswith(("image-", "container-", "daemon-"))]
    finally:
        engine.remove_containers()
        engine.api("DELETE", "/images/never-ran:1")


def test_secrets_are_not_in_the_output_of_the_collector(engine: Dockerd) -> None:
    aws = "AKIA" + "IOSFODNN7EXAMPLE"
    engine.build(
        "secret:test",
        "\n".join(
            (
                f"FROM {IMAGE}",
                "ARG TOKEN",
                f"ENV PLAIN={SECRET} OTHER='a {SECRET} b'",
                'RUN ["/bin/true"]',
                f"RUN /bin/sh -c 'true --password={SECRET}'",
                f"LABEL api.token={SECRET} url=https://me:{SECRET}@example.org/ aws={aws}",
                f'HEALTHCHECK CMD ["/bin/true", "--password", "{SECRET}"]',
                f"ONBUILD ENV X={SECRET}",
            )
        ),
        args={"TOKEN": SECRET},
    )
    engine.api("POST", "/networks/create", {"Name": "n1", "Labels": {"secret": SECRET}})
    options = {"type": "cifs", "device": "//nas/x", "o": f"username=me,password={SECRET}"}
    engine.api("POST", "/volumes/create", {"Name": "v1", "DriverOpts": options})
    try:
        engine.create(
            "secretive",
            image="secret:test",
            command=["sleep", "--db-password", SECRET, f"https://me:{SECRET}@example.org"],
            env=[f"INNOCENT={SECRET}"],
            labels={"traefik.basicauth.users": SECRET, "note": f"password: {SECRET}"},
            host_config={"LogConfig": {"Type": "json-file", "Config": {"labels": "a"}}},
        )
        run = collect(engine.socket)
        assert SECRET.encode() not in run.printed
        assert aws.encode() not in run.printed
        secrets = run.document["collector"]["secrets"]
        found = {(secret["where"].partition(" ")[0], secret["kind"]) for secret in secrets}
        assert {("image", kind) for kind in ("name", "aws-key", "url-password")} <= found
        assert ("container", "name") in found
        again, before = (
            sorted(each.data("docker.images"), key=lambda image: str(image["inspect"]["Id"]))
            for each in (collect(engine.socket), run)  # an engine lists images of one second as it likes
        )
        assert again == before  # the same digests
    finally:
        engine.api("DELETE", "/networks/n1")
        engine.api("DELETE", "/volumes/v1")


def test_versions_are_ordered_as_dpkg_does() -> None:
    dice = random.Random(20261125)
    versions = [
        dice.choice(["", "1:"])
        + dice.choice("0129")
        + "".join(dice.choices("0129ab~+.-", k=dice.randint(0, 6)))
        + "0"
        for _ in range(300)
    ]
    for one, two in itertools.pairwise(versions):
        later = subprocess.run(["dpkg", "--compare-versions", one, "gt", two], check=False).returncode == 0
        assert newer(one, two) == later, (one, two)


def test_the_acl_of_a_real_file_is_parsed(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("")
    path.chmod(0o600)
    subprocess.run(["setfacl", "-m", "u:nobody:rw,g:daemon:r", path], check=True)
    record = Files().add(str(path))
    assert record is not None
    found = {(entry["tag"], entry["name"], entry["perms"]) for entry in record["acl"]}
    assert {("user", "nobody", "rw-"), ("group", "daemon", "r--"), ("mask", None, "rw-")} <= found


def test_calls_that_seccomp_profiles_permit_are_collected(engine: Dockerd) -> None:
    everything = '{"defaultAction": "SCMP_ACT_ALLOW"}'
    containers = {
        "default": engine.run("default"),
        "admin": engine.run("admin", host_config={"CapAdd": ["SYS_ADMIN"]}),
        "open": engine.run("open", host_config={"SecurityOpt": [f"seccomp={everything}"]}),
        "waiting": engine.create("waiting", host_config={"SecurityOpt": [f"seccomp={everything}"]}),
        "none": engine.run("none", host_config={"SecurityOpt": ["seccomp=unconfined"]}),
    }
    run = collect(engine.socket)
    found = {name: container(run, identity).get("seccomp") for name, identity in containers.items()}
    default = found["default"] or {}
    assert (default["default"], default["open"]) == ("SCMP_ACT_ERRNO", [])
    assert default["calls"] > 250
    assert not {"clone", "clone3", "personality"} & set(default["unlimited"])
    assert (found["admin"] or {})["calls"] > default["calls"]
    assert (found["open"] or {})["calls"] is None
    assert set(found["waiting"] or {}) == {"default", "open"}  # it is not resolved yet
    assert {"bpf", "mount", "setns"} <= set((found["admin"] or {})["open"])
    assert "keyctl" not in (found["admin"] or {})["open"]
    for name in ("open", "waiting"):
        assert {"bpf", "keyctl", "mount"} <= set((found[name] or {})["open"]), name
    assert found["none"] is None
    verdict = all_checks()["container-seccomp-enabled"](Snapshot(run.document))
    assert {offender.name for offender in verdict.offenders} == {"open", "waiting", "none"}
    assert not any("container admin" in fact for fact in verdict.evidence)
