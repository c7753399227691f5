from __future__ import annotations

from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import FactUnavailable
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import GONE, make, merge

NRI, CDI, OWN = "daemon-nri-trusted", "file-cdi-specs", "file-engine-own"
PLUGINS, CONFIG = "/usr/libexec/docker/nri-plugins", "/etc/docker/nri/conf.d"
ENGINE_29 = {
    "docker.version": {"Version": "29.7.2"},
    "docker.info": {"CDISpecDirs": ["/etc/cdi", "/var/run/cdi"]},
}


def record(mode: str = "0755", *, uid: int = 0, gid: int = 0, **more: Any) -> dict[str, Any]:
    found = {"type": "dir", "mode": mode, "uid": uid, "gid": gid, "owner": str(uid), "group": str(gid)}
    return {**found, "target": None, "acl": [], "size": 1, "mtime": 1, "dev": "254:1", "ino": 7, **more}


def acl(perms: str) -> dict[str, Any]:
    return record("0775", acl=[{"tag": "user", "id": 1000, "name": "ann", "perms": perms}])


def engine_29(files: dict[str, Any], **sources: Any) -> Any:
    return make(files=files, **merge(ENGINE_29, sources))


def nri_on(files: dict[str, Any], **options: Any) -> Any:
    told = {"exists": True, "parsed": {"nri-opts": {"enable": True, **options}}}
    return engine_29({PLUGINS: record(), CONFIG: record(), **files}, **{"daemon.config": told})


# How another user gets a file into a folder, or in the place of one.
OPEN = [
    record("0777"),
    record("0775", gid=1000),
    record(uid=1000),
    acl("rwx"),
]
CLOSED = [record("0755"), record("0775"), record("0700"), acl("r-x")]


@pytest.mark.parametrize("folder", [PLUGINS, CONFIG])
@pytest.mark.parametrize("bad", OPEN)
def test_a_plugin_folder_that_others_write_to_fails(judge: Judge, folder: str, bad: Any) -> None:
    verdict = judge(NRI, nri_on({folder: bad}))
    assert verdict.status is Status.FAIL
    assert [offender.name for offender in verdict.offenders] == [folder]


@pytest.mark.parametrize("bad", [*OPEN, record("1777")])
def test_a_parent_folder_where_others_can_create_the_plugin_folder_fails(judge: Judge, bad: Any) -> None:
    missing = {"/srv/nri": None, "/srv/nri/plugins": None, "/srv": bad, "/": record()}
    told = nri_on(missing, **{"plugin-path": "/srv/nri/plugins"})
    assert [each.name for each in judge(NRI, told).offenders] == ["/srv"]
    told = nri_on({**missing, "/srv": record()}, **{"plugin-path": "/srv/nri/plugins"})
    assert judge(NRI, told).status is Status.PASS


@pytest.mark.parametrize("bad", OPEN)
def test_writable_plugins_parents_and_sockets_fail(judge: Judge, bad: Any) -> None:
    plugin = f"{PLUGINS}/10-net"
    assert judge(NRI, nri_on({plugin: {**bad, "type": "file"}})).offenders[0].name == plugin
    assert judge(NRI, nri_on({"/usr/libexec/docker": bad})).offenders[0].name == "/usr/libexec/docker"
    socket = {"/run/nri.sock": {**bad, "type": "socket"}}
    assert judge(NRI, nri_on(socket)).status is Status.PASS  # nothing listens there
    told = nri_on(socket, **{"socket-path": "/run/nri.sock"})
    assert judge(NRI, told).offenders[0].name == "/run/nri.sock"


@pytest.mark.parametrize("good", CLOSED)
def test_plugin_folders_that_others_cannot_write_pass(judge: Judge, good: Any) -> None:
    verdict = judge(NRI, nri_on({PLUGINS: good, f"{PLUGINS}/10-net": {**good, "type": "file"}}))
    assert verdict.status is Status.PASS
    assert f"plugin: {PLUGINS}/10-net" in verdict.evidence


def test_a_writable_parent_of_a_linked_plugin_folders_target_fails(judge: Judge) -> None:
    snapshot = nri_on({PLUGINS: record(target="/srv/nri"), "/srv": record("0777")})
    assert judge(NRI, snapshot).offenders[0].name == "/srv"
    sticky = nri_on({PLUGINS: record(target="/tmp/nri"), "/tmp": record("1777")})
    assert judge(NRI, sticky).status is Status.PASS


@pytest.mark.parametrize(
    "flag", ["enable=true", "enable", "enable=1,socket-path=/run/n.sock", "socket-path=/run/n.sock,enable"]
)
def test_nri_enabled_by_a_flag_fails_with_a_writable_plugin_folder(judge: Judge, flag: str) -> None:
    files = {PLUGINS: record("0777"), CONFIG: record(), "/run/n.sock": None}
    on = engine_29(files, **{"daemon.config": {"flags": {"nri-opts": [flag]}}})
    assert judge(NRI, on).status is Status.FAIL
    off = engine_29(files, **{"daemon.config": {"flags": {"nri-opts": ["enable=false"]}}})
    assert judge(NRI, off).status is Status.PASS


def test_nri_reported_by_the_engine_fails_with_a_writable_plugin_folder(judge: Judge) -> None:
    info = {"NRI": {"Info": [["plugin-path", PLUGINS]]}, "CDISpecDirs": []}
    snapshot = engine_29({PLUGINS: record("0777"), CONFIG: None}, **{"docker.info": info})
    assert judge(NRI, snapshot).status is Status.FAIL


def test_a_writable_plugin_folder_passes_if_nri_is_disabled(judge: Judge) -> None:
    assert judge(NRI, make(files={PLUGINS: record("0777")})).status is Status.NOT_APPLICABLE
    assert judge(NRI, engine_29({PLUGINS: record("0777")})).status is Status.PASS
    with pytest.raises(FactUnavailable):
        judge(NRI, nri_on({PLUGINS: GONE}))
    with pytest.raises(FactUnavailable):
        judge(NRI, engine_29({}, **{"daemon.config": {"exists": True, "parsed": {"nri-opts": [1]}}}))


@pytest.mark.parametrize("bad", OPEN)
@pytest.mark.parametrize("where", ["/etc/cdi", "/etc/cdi/gpu.yaml", "/var/run/cdi", "/etc"])
def test_cdi_descriptions_that_others_can_write_fail(judge: Judge, bad: Any, where: str) -> None:
    files = {"/etc/cdi": record(), "/etc/cdi/gpu.yaml": record("0644", type="file"), "/var/run/cdi": record()}
    assert judge(CDI, engine_29(files)).status is Status.PASS
    verdict = judge(CDI, engine_29({**files, where: bad}))
    assert verdict.status is Status.FAIL
    assert [offender.name for offender in verdict.offenders] == [where]


def test_without_cdi_descriptions_the_control_is_not_applicable(judge: Judge) -> None:
    bad = {"/etc/cdi": record("0777")}
    assert judge(CDI, engine_29({})).status is Status.NOT_APPLICABLE
    assert judge(CDI, make(files=bad)).status is Status.NOT_APPLICABLE  # 26.1 says that it reads none
    old = make(files=bad, **{"docker.version": {"Version": "24.0.7"}})
    assert judge(CDI, old).status is Status.NOT_APPLICABLE
    with pytest.raises(FactUnavailable):
        judge(CDI, engine_29({"/etc/cdi": GONE}))


@pytest.mark.parametrize(
    ("path", "bad"),
    [
        ("/var/lib/docker", record("0777")),
        ("/var/lib/docker/volumes", record("0733")),
        ("/run/docker", record("0770", gid=1000)),
        ("/run/docker/metrics.sock", record("0666", type="socket")),
        ("/run/docker.pid", record("0666", type="file")),
        ("/run/docker", acl("-wx")),
    ],
)
def test_files_of_the_daemon_that_others_can_write_fail(judge: Judge, path: str, bad: Any) -> None:
    verdict = judge(OWN, make(files={path: bad}))
    assert verdict.status is Status.FAIL
    assert [offender.name for offender in verdict.offenders] == [path]


def test_files_of_the_daemon_may_belong_to_the_remapped_root(judge: Judge) -> None:
    root = "/var/lib/docker/100000.100000"
    files = {root: record("0710", gid=100000), f"{root}/volumes": record("0701", uid=100000, gid=100000)}
    snapshot = make(files=files, **{"docker.info": {"DockerRootDir": root}})
    assert judge(OWN, snapshot).status is Status.PASS
    assert judge(OWN, make()).checked == 0
    with pytest.raises(FactUnavailable, match="was not collected"):
        judge(OWN, make(files={"/run/docker": GONE}))


def test_a_writable_pid_file_at_a_configured_path_fails(judge: Judge) -> None:
    told = {"daemon.config": {"exists": True, "parsed": {"exec-root": "/srv/run", "pidfile": "/srv/pid"}}}
    files = {"/srv/run": record("0711"), "/srv/pid": record("0666", type="file")}
    assert judge(OWN, make(files=files, **told)).offenders[0].name == "/srv/pid"
