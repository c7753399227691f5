from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from hardener.model import Status, Verdict
from hardener.snapshot import FactUnavailable, Snapshot
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import GONE, absent, failed, make, only

TLS = {
    "tlsverify": ["true"],
    "tlscacert": ["/c/ca.pem"],
    "tlscert": ["/c/cert.pem"],
    "tlskey": ["/c/key.pem"],
}
UNIT = "/usr/lib/systemd/system/docker.service"
CERT = "/etc/docker/certs.d/registry.lan:5000/ca.crt"

# Name in the slug -> the path, the widest mode that passes, and a wider one whose number is smaller.
FILES: dict[str, tuple[str, str, str]] = {
    "docker-service": (UNIT, "0644", "0622"),
    "docker-socket-unit": ("/usr/lib/systemd/system/docker.socket", "0644", "0602"),
    "etc-docker": ("/etc/docker", "0755", "0727"),
    "registry-cert": (CERT, "0444", "0422"),
    "tls-ca": ("/c/ca.pem", "0444", "0424"),
    "tls-cert": ("/c/cert.pem", "0444", "0441"),
    "tls-key": ("/c/key.pem", "0400", "0040"),
    "docker-sock": ("/run/docker.sock", "1660", "0626"),
    "daemon-json": ("/etc/docker/daemon.json", "0644", "0577"),
    "etc-default-docker": ("/etc/default/docker", "0644", "0466"),
    "etc-sysconfig-docker": ("/etc/sysconfig/docker", "0644", "0606"),
    "containerd-sock": ("/run/containerd/containerd.sock", "0660", "0646"),
}
NAMES = sorted(FILES)
OPTIONAL = sorted(FILES.keys() - {"docker-service", "docker-socket-unit", "docker-sock"})


def record(mode: str = "0600", **changes: Any) -> dict[str, Any]:
    base = {
        "type": "file",
        "mode": mode,
        "uid": 0,
        "gid": 0,
        "owner": "root",
        "group": "root",
        "target": None,
    }
    return {**base, "acl": [], "size": 1, "mtime": 1, "dev": "254:1", "ino": 1, **changes}


def host(name: str, **changes: Any) -> Snapshot:
    """A host that has everything, with one file changed."""
    files = {path: record(mode) for path, mode, _ in FILES.values()}
    files["/run/docker.sock"] |= {"group": "docker", "gid": 103}
    files[FILES[name][0]] |= changes
    return make(files=files, **{"daemon.config": {"flags": TLS}})


def granting(tag: str, perms: str, mask: str = "rwx", number: int = 1000) -> list[dict[str, Any]]:
    return [
        {"tag": "owner", "id": None, "name": None, "perms": "rw-"},
        {"tag": tag, "id": number, "name": "eve", "perms": perms},
        {"tag": "owning-group", "id": None, "name": None, "perms": "rw-"},
        {"tag": "mask", "id": None, "name": None, "perms": mask},
        {"tag": "other", "id": None, "name": None, "perms": "---"},
    ]


def names(verdict: Verdict) -> set[str]:
    return {offender.name for offender in verdict.offenders}


@pytest.mark.parametrize("name", NAMES)
def test_files_owned_by_root_pass(judge: Judge, name: str) -> None:
    verdict = judge(f"file-{name}-owner", host(name))
    assert verdict.status is Status.PASS, verdict
    # With the file of its environment and the daemon's program, and with the folders above.
    assert verdict.checked == {"docker-service": 3, "etc-docker": 3}.get(name, 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "changes", [{"uid": 1000, "owner": "root"}, {"uid": 1000, "owner": "eve"}, {"gid": 1000, "group": "eve"}]
)
def test_files_owned_by_another_user_fail(judge: Judge, name: str, changes: Any) -> None:
    verdict = judge(f"file-{name}-owner", host(name, **changes))
    assert verdict.status is Status.FAIL
    assert names(verdict) == {FILES[name][0]}


@pytest.mark.parametrize("name", NAMES)
def test_the_widest_allowed_mode_of_a_file_passes(judge: Judge, name: str) -> None:
    assert judge(f"file-{name}-mode", host(name)).status is Status.PASS
    assert judge(f"file-{name}-mode", host(name, mode="0000")).status is Status.PASS


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bit", [0o1, 0o2, 0o10, 0o20, 0o100, 0o1000, 0o2000, 0o4000])
def test_each_permission_bit_beyond_the_allowed_mode_fails(judge: Judge, name: str, bit: int) -> None:
    allowed = int(FILES[name][1], 8)
    verdict = judge(f"file-{name}-mode", host(name, mode=f"{allowed | bit:04o}"))
    assert verdict.status is (Status.PASS if allowed & bit else Status.FAIL)


@pytest.mark.parametrize("name", NAMES)
def test_a_mode_with_other_permission_bits_fails_even_if_it_is_numerically_smaller(
    judge: Judge, name: str
) -> None:
    mode = FILES[name][2]
    assert int(mode) <= int(FILES[name][1])  # as decimal numbers, the comparison that is wrong
    verdict = judge(f"file-{name}-mode", host(name, mode=mode))
    assert verdict.status is Status.FAIL
    assert mode in verdict.actual


@pytest.mark.parametrize("name", NAMES)
def test_an_acl_that_grants_access_fails(judge: Judge, name: str) -> None:
    slug = f"file-{name}-mode"
    assert judge(slug, host(name, acl=granting("user", "rwx"))).status is Status.FAIL
    assert judge(slug, host(name, acl=granting("group", "-w-"))).status is Status.FAIL
    assert judge(slug, host(name, acl=granting("user", "rwx", mask="---"))).status is Status.PASS
    readable = int(FILES[name][1], 8) & 0o4
    reading = judge(slug, host(name, acl=granting("user", "r--", number=0)))
    assert reading.status is (Status.PASS if readable else Status.FAIL)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_other_users_can_replace_fails(judge: Judge, name: str) -> None:
    folder = "/x is of uid 0, mode 0777"
    verdict = judge(f"file-{name}-mode", host(name, exchangeable=folder))
    assert verdict.status is Status.FAIL
    assert f"can be replaced by other users: {folder}" in verdict.actual
    wider = judge(f"file-{name}-mode", host(name, exchangeable=folder, mode="0777"))
    assert f"has mode 0777, can be replaced by other users: {folder}" in wider.actual


def test_files_that_the_user_of_a_rootless_daemon_can_replace_pass(judge: Judge) -> None:
    files = {
        "/home/u/.config/docker": record("0700", type="dir", uid=1000, exchangeable="/home/u is of uid 1000")
    }
    config = {"path": "/home/u/.config/docker/daemon.json"}
    snapshot = make(files=files, engine={"rootless": True, "euid": 1000}, **{"daemon.config": config})
    assert judge("file-etc-docker-mode", snapshot).status is Status.PASS


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("aspect", ["owner", "mode"])
def test_an_unreadable_file_is_an_error(judge: Judge, name: str, aspect: str) -> None:
    slug = f"file-{name}-{aspect}"
    snapshot = host(name)
    snapshot.raw["sources"]["files"]["data"][FILES[name][0]] = {"error": "Permission denied"}
    with pytest.raises(FactUnavailable, match="Permission denied"):
        judge(slug, Snapshot(snapshot.raw))
    with pytest.raises(FactUnavailable):
        judge(slug, make(files=failed("timed out"), **{"daemon.config": {"flags": TLS}}))


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize("aspect", ["owner", "mode"])
def test_absent_files_are_not_applicable(judge: Judge, name: str, aspect: str) -> None:
    snapshot = make(files={FILES[name][0]: None})
    assert judge(f"file-{name}-{aspect}", snapshot).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize("name", ["docker-service", "docker-socket-unit"])
@pytest.mark.parametrize("aspect", ["owner", "mode"])
def test_unit_files_are_not_applicable_without_systemd(judge: Judge, name: str, aspect: str) -> None:
    assert judge(f"file-{name}-{aspect}", make(units=absent("no systemd"))).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize("unit", ["docker.service", "docker.socket"])
def test_a_writable_drop_in_of_a_unit_fails(judge: Judge, unit: str) -> None:
    drop_in = f"/etc/systemd/system/{unit}.d/override.conf"
    slug = "file-docker-service-mode" if unit == "docker.service" else "file-docker-socket-unit-mode"
    snapshot = make(units={unit: {"DropInPaths": [drop_in]}}, files={drop_in: record("0666")})
    assert names(judge(slug, snapshot)) == {drop_in}


@pytest.mark.parametrize(
    ("name", "mode", "user"),
    list(
        product(
            ("docker.socket", "site.socket"), ("0600", "1660", "0666", "0662", "0770"), ("", "root", "eve")
        )
    ),
)
def test_the_mode_and_owner_of_a_socket_at_its_next_start_are_judged(
    judge: Judge, name: str, mode: str, user: str
) -> None:
    base = make().fact("units")["docker.socket"]
    snapshot = make(units={name: {**base, "SocketMode": mode, "SocketUser": user}})
    narrow = mode in ("0600", "1660")
    for aspect, good in (("mode", narrow), ("owner", user != "eve")):
        verdict = judge(f"file-docker-sock-{aspect}", snapshot)
        assert verdict.status is (Status.PASS if good else Status.FAIL), verdict
        assert names(verdict) == (set() if good else {name})


@pytest.mark.parametrize("name", ["docker.service", "docker.socket"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"NeedDaemonReload": "yes"}, "changed since systemd read them"),
        ({"NeedDaemonReload": GONE}, "earlier collector"),
        ({"ExecStartPost": [["/bin/chmod", "666", "/run/docker.sock"]]}, "/bin/chmod 666 /run/docker.sock"),
        ({"ExecStartPre": [["/bin/sh", "-c", "chown eve /run/docker.sock"]]}, "chown eve"),
        ({"ExecStartPost": [["/opt/after"]]}, "/opt/after"),
    ],
)
def test_a_start_that_may_change_the_socket_is_judged_by_a_person(
    judge: Judge, name: str, change: dict[str, Any], words: str
) -> None:
    slugs = ["file-docker-sock-mode", "file-docker-sock-owner"]
    unit = "service" if name == "docker.service" else "socket-unit"
    slugs += [f"file-docker-{unit}-{aspect}" for aspect in ("mode", "owner")] if "Need" in str(change) else []
    for slug in slugs:
        verdict = judge(slug, make(units={name: change}))
        assert verdict.status is Status.MANUAL, verdict
        assert words in verdict.actual
    harmless = [["/sbin/modprobe", "overlay"], ["/usr/sbin/iptables", "-P", "FORWARD", "ACCEPT"]]
    assert (
        judge("file-docker-sock-mode", make(units={name: {"ExecStartPre": harmless}})).status is Status.PASS
    )
    bad = make(units={name: change}, files={"/run/docker.sock": {"mode": "0666"}})
    verdict = judge("file-docker-sock-mode", bad)
    assert verdict.status is Status.FAIL
    assert verdict.undecided is not None


@pytest.mark.parametrize("key", ["ExecStartPre", "ExecStart", "ExecStartPost"])
@pytest.mark.parametrize("unit", ["docker.service", "docker.socket"])
@pytest.mark.parametrize(
    ("changes", "bad"),
    [
        ({"mode": "0755"}, ""),
        ({"mode": "0644"}, ""),
        ({"mode": "0775"}, "mode"),
        ({"mode": "4755"}, "mode"),
        ({"mode": "0755", "exchangeable": "/opt (eve)"}, "mode"),
        ({"mode": "0755", "uid": 1000}, "owner"),
    ],
)
def test_the_programs_that_a_unit_starts_are_judged(
    judge: Judge, key: str, unit: str, changes: dict[str, Any], bad: str
) -> None:
    slug = "file-docker-service" if unit == "docker.service" else "file-docker-socket-unit"
    for aspect, argv in product(("mode", "owner"), (["/opt/run"], ["/bin/sh", "/opt/run"])):
        snapshot = make(units={unit: {key: [argv]}}, files={"/opt/run": record(**changes)})
        assert names(judge(f"{slug}-{aspect}", snapshot)) == ({"/opt/run"} if aspect == bad else set())


def test_a_unit_that_was_not_collected_is_an_error(judge: Judge) -> None:
    with pytest.raises(FactUnavailable, match="not collected"):
        judge("file-docker-service-mode", make(units={"docker.service": {"DropInPaths": ["/x.conf"]}}))


@pytest.mark.parametrize(
    ("unit_group", "flags", "owner", "status"),
    [
        ("docker", {"host": ["fd://"]}, {"group": "docker", "gid": 103}, Status.PASS),
        ("ops", {"host": ["fd://"]}, {"group": "ops", "gid": 200}, Status.PASS),
        ("ops", {"host": ["fd://"]}, {"group": "docker", "gid": 103}, Status.FAIL),
        ("docker", {"host": ["unix://"], "group": ["ops"]}, {"group": "ops", "gid": 200}, Status.PASS),
        ("docker", {"host": ["unix://"], "group": ["200"]}, {"group": "ops", "gid": 200}, Status.PASS),
        ("docker", {"host": ["unix://"]}, {"group": "ops", "gid": 200}, Status.FAIL),
        ("docker", {"host": ["fd://"]}, {"group": "root", "gid": 0}, Status.PASS),
        ("docker", {"host": ["fd://"]}, {"group": "docker", "gid": 103, "uid": 1000}, Status.FAIL),
    ],
)
def test_a_socket_passes_only_with_root_as_owner_and_root_or_its_configured_group(
    judge: Judge, unit_group: str, flags: Any, owner: Any, status: Status
) -> None:
    snapshot = make(
        units={"docker.socket": {"SocketGroup": unit_group}},
        files={"/run/docker.sock": owner, "/var/run/docker.sock": owner},
        **{"daemon.config": {"flags": only(flags)}},
    )
    assert judge("file-docker-sock-owner", snapshot).status is status


def test_every_writable_api_socket_of_the_daemon_fails(judge: Judge) -> None:
    flags = {"host": ["fd://", "unix:///srv/api.sock"]}
    snapshot = make(files={"/srv/api.sock": record("0666")}, **{"daemon.config": {"flags": flags}})
    assert names(judge("file-docker-sock-mode", snapshot)) == {"/srv/api.sock"}


def test_files_of_a_rootless_daemon_pass_if_its_user_owns_them(judge: Judge) -> None:
    path = "/home/ci/.config/docker/daemon.json"
    engine = {"rootless": True, "euid": 1000}
    mine = record("0644", uid=1000, gid=1000)
    config = {"daemon.config": {"path": path, "exists": True, "parsed": {}}}
    good = make(engine=engine, files={path: mine, "/home/ci/.config/docker": mine}, **config)
    assert judge("file-daemon-json-owner", good).status is Status.PASS
    assert judge("file-etc-docker-owner", good).status is Status.PASS
    assert judge("file-docker-sock-owner", good).status is Status.NOT_APPLICABLE
    assert judge("file-containerd-sock-owner", good).status is Status.NOT_APPLICABLE
    others = make(engine=engine, files={path: {**mine, "uid": 1001}}, **config)
    assert judge("file-daemon-json-owner", others).status is Status.FAIL


@pytest.mark.parametrize(
    "told",
    [
        {"exists": True, "parsed": {"features": {"embedded-containerd": True}}},
        {"flags": {"feature": ["embedded-containerd"]}},
    ],
)
def test_the_containerd_socket_is_not_applicable_if_containerd_is_embedded(
    judge: Judge, told: dict[str, Any]
) -> None:
    left_over = {"/run/containerd/containerd.sock": record("0666")}
    inside = {"files": left_over, "engine": {"containerd_pid": None}, "daemon.config": told}
    for slug in ("file-containerd-sock-owner", "file-containerd-sock-mode", "audit-containerd-sock"):
        assert judge(slug, make(**inside)).status is Status.NOT_APPLICABLE
    asked_in_vain = {**inside, "engine": {"containerd_pid": 600}}
    assert judge("file-containerd-sock-mode", make(**asked_in_vain)).status is Status.FAIL


def test_a_writable_socket_of_a_running_containerd_fails_without_a_readable_daemon_json(judge: Judge) -> None:
    facts: dict[str, Any] = {
        "files": {"/run/containerd/containerd.sock": record("0666")},
        "daemon.config": {"exists": True, "error": "not JSON"},
    }
    assert (
        judge("file-containerd-sock-mode", make(engine={"containerd_pid": 600}, **facts)).status
        is Status.FAIL
    )
    with pytest.raises(FactUnavailable, match="not JSON"):
        judge("file-containerd-sock-mode", make(engine={"containerd_pid": None}, **facts))


def test_a_rootless_socket_with_the_sticky_bit_passes(judge: Judge) -> None:
    def at(mode: str) -> Snapshot:
        path = "/run/user/1000/docker.sock"
        engine = {"rootless": True, "euid": 1000, "socket": path}
        return make(engine=engine, files={path: record(mode, type="socket", uid=1000, gid=1000)})

    assert judge("file-docker-sock-mode", at("1660")).status is Status.PASS
    assert judge("file-docker-sock-mode", at("1666")).status is Status.FAIL


def test_every_registry_certificate_with_a_wrong_owner_or_group_fails(judge: Judge) -> None:
    folder = "/etc/docker/certs.d/a registry:5000"
    files: dict[str, Any] = {
        "/etc/docker/certs.d": record("0755", type="dir", uid=1000),
        folder: record("0755", type="dir"),
        f"{folder}/ca.crt": record("0444"),
        f"{folder}/client.cert": record("0444", gid=1000),
        f"{folder}/client.key": record("0400", uid=1000),
        f"{folder}/two\nlines.crt": record("0444", gid=1000),
    }
    verdict = judge("file-registry-cert-owner", make(files=files))
    assert names(verdict) == {f"{folder}/client.cert", f"{folder}/client.key", f"{folder}/two\nlines.crt"}
    assert verdict.checked == 4
    assert "\n" not in verdict.actual


@pytest.mark.parametrize(
    ("flags", "environment", "path"),
    [
        ({"tlsverify": ["true"]}, {}, "/root/.docker/key.pem"),
        ({"tls": ["true"]}, {"DOCKER_CERT_PATH": "/certs"}, "/certs/key.pem"),
        ({"tlsverify": ["true"]}, {"DOCKER_CONFIG": "/conf"}, "/conf/key.pem"),
        ({"tlsverify": ["true"], "tlskey": ["/srv/s key.pem"]}, {}, "/srv/s key.pem"),
    ],
)
def test_the_default_path_of_the_tls_key_is_resolved_as_dockerd_does(
    judge: Judge, flags: Any, environment: Any, path: str
) -> None:
    config = {"daemon.config": {"flags": flags, "environment": environment}}
    assert names(judge("file-tls-key-mode", make(files={path: record("0444")}, **config))) == {path}
    assert judge("file-tls-key-mode", make(files={path: record("0400")}, **config)).status is Status.PASS


def test_the_path_of_the_ca_certificate_is_read_from_its_flag(judge: Judge) -> None:
    config = {"daemon.config": {"flags": {"tlsverify": ["true"], "tlscacert": ["/p"]}}}
    assert names(judge("file-tls-ca-owner", make(files={"/p": record(uid=1000)}, **config))) == {"/p"}


def test_a_writable_configuration_file_at_another_path_fails(judge: Judge) -> None:
    other = "/var/snap/docker/current/config/daemon.json"
    config = {"daemon.config": {"path": other, "exists": True, "parsed": {}}}
    files = {other: record("0666"), "/etc/docker/daemon.json": record("0644")}
    assert names(judge("file-daemon-json-mode", make(files=files, **config))) == {other}


DROP_INS = "/etc/systemd/system/docker.service.d"
FOLDER = record("0755", type="dir")


@pytest.mark.parametrize(
    ("files", "culprit"),
    [
        ({"/etc/default/docker": record("0666")}, "/etc/default/docker"),
        ({DROP_INS: record("0777", type="dir")}, DROP_INS),
        ({DROP_INS: FOLDER, f"{DROP_INS}/new.conf": record("0646")}, f"{DROP_INS}/new.conf"),
        ({"/etc/systemd/system": record("0777", type="dir")}, "/etc/systemd/system"),
        ({"/etc/systemd/system/service.d": record("0777", type="dir")}, "/etc/systemd/system/service.d"),
        (
            {"/run/systemd/generator/docker.service.d/x.conf": record("0646")},
            "/run/systemd/generator/docker.service.d/x.conf",
        ),
    ],
)
def test_each_writable_file_or_folder_that_configures_the_unit_fails(
    judge: Judge, files: dict[str, Any], culprit: str
) -> None:
    environment = ["/etc/default/docker (ignore_errors=yes)"]
    units = {"docker.service": {"EnvironmentFiles": environment, "DropInPaths": []}}
    verdict = judge("file-docker-service-mode", make(files={UNIT: record("0644"), **files}, units=units))
    assert verdict.status is Status.FAIL
    assert names(verdict) == {culprit}


def test_a_searchable_drop_in_folder_passes(judge: Judge) -> None:
    files = {UNIT: record("0644"), DROP_INS: FOLDER, f"{DROP_INS}/a.conf": record("0644")}
    assert judge("file-docker-service-mode", make(files=files)).status is Status.PASS


@pytest.mark.parametrize(
    ("parent", "control"),
    [({"mode": "0777"}, "mode"), ({"mode": "0775"}, "mode"), ({"uid": 1000, "owner": "eve"}, "owner")],
)
def test_a_writable_folder_above_a_linked_configuration_fails(
    judge: Judge, parent: dict[str, Any], control: str
) -> None:
    files = {
        "/etc/docker": {**FOLDER, "target": "/srv/shared/docker"},
        "/srv/shared": {**FOLDER, **parent},
        "/srv": FOLDER,
        "/": FOLDER,
    }
    assert names(judge(f"file-etc-docker-{control}", make(files=files))) == {"/srv/shared"}
    files["/srv/shared"] = FOLDER
    assert judge(f"file-etc-docker-{control}", make(files=files)).status is Status.PASS
