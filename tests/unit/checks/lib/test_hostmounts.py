"""Mounts are judged by what they show: device and root in the container's mountinfo and in the host's."""

from __future__ import annotations

from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import FactUnavailable
from tests.unit.checks.judging import Judge
from tests.unit.checks.runtime.cases import details
from tests.unit.checks.runtime.disks import DISKS, HOST, at
from tests.unit.snapshots import hardened, only, with_containers

SOCKET, SENSITIVE = "container-no-docker-sock", "container-no-sensitive-mounts"
ID = "c78e" * 16


def bind(source: str, destination: str = "/d", **more: Any) -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "Destination": destination, "RW": True, **more}


def volume(name: str, **options: str) -> dict[str, Any]:
    return {
        "Type": "volume",
        "Name": name,
        "Driver": "local",
        "Source": f"/var/lib/docker/volumes/{name}/_data",
        "Destination": "/d",
        "RW": True,
        "options": options,
    }


def verdict(
    judge: Judge,
    slug: str,
    asked: list[dict[str, Any]],
    shown: list[dict[str, Any]] | None,
    *,
    host: list[dict[str, Any]] = HOST,
    files: dict[str, Any] | None = None,
    engine: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, str]:
    """What is said of a container; ``shown`` is its mountinfo beside its root, None where it does not run."""
    volumes = [
        {"Name": row["Name"], "Options": row.pop("options")} for row in map(dict, asked) if "options" in row
    ]
    own = [at(100, 50, "/", "0:48", fstype="overlay"), *(shown or ())]
    bad = hardened(
        "bad",
        running=shown is not None,
        proc=None if shown is None else {"mounts": own, "mounts_truncated": False},
        Mounts=asked,
        Id=ID,
        **more,
    )
    snapshot = with_containers(
        bad,
        mounts=host,
        block_devices=only(DISKS),
        files=files or {},
        engine=engine or {},
        **{"docker.volumes": volumes},
    )
    found = judge(slug, snapshot)
    assert found.status in {Status.PASS, Status.FAIL}, found
    return details(found)


ALIAS_OF_RUN = [*HOST, at(9, 1, "/srv/data", "0:26")]
ALIAS_OF_ROOT = [*HOST, at(9, 1, "/mnt/hostroot", "8:1")]


@pytest.mark.parametrize(
    "case",
    [
        (
            SOCKET,
            ALIAS_OF_RUN,
            [bind("/srv/data")],
            [at(101, 100, "/d", "0:26")],
            "and with it /run/docker.sock",
        ),
        (
            SENSITIVE,
            ALIAS_OF_RUN,
            [bind("/srv/data")],
            [at(101, 100, "/d", "0:26")],
            "/srv/data (which is /run)",
        ),
        (SENSITIVE, ALIAS_OF_ROOT, [bind("/mnt/hostroot")], [at(101, 100, "/d", "8:1")], "(which is /)"),
        (
            SENSITIVE,
            ALIAS_OF_ROOT,
            [bind("/mnt/hostroot/etc/ssl")],
            [at(101, 100, "/d", "8:1", "/etc/ssl")],
            "inside /etc",
        ),
        (  # a folder that carries the mount
            SOCKET,
            [*HOST, at(9, 1, "/srv/a/b", "0:26")],
            [bind("/srv/a")],
            [at(101, 100, "/d", "8:1", "/srv/a"), at(102, 101, "/d/b", "0:26")],
            "at /d/b, and with it /run/docker.sock",
        ),
        (  # the socket itself
            SOCKET,
            [*HOST, at(9, 1, "/srv/api", "0:26", "/docker.sock")],
            [bind("/srv/api")],
            [at(101, 100, "/d", "0:26", "/docker.sock")],
            "the API socket of a container runtime",
        ),
        (  # the engine's overlay of a volume
            SENSITIVE,
            HOST,
            [volume("v", type="overlay", o="lowerdir=/:/srv/x", device="overlay")],
            [at(101, 100, "/d", "0:60", fstype="overlay", layers=["/", "/srv/x"])],
            "which holds /bin",
        ),
        (
            SOCKET,
            [*HOST, at(9, 1, "/srv/o", "0:60", fstype="overlay", layers=["/srv/x", "/run"])],
            [bind("/srv/o")],
            [at(101, 100, "/d", "0:60", fstype="overlay")],
            "and with it /run/docker.sock",
        ),
        (
            SENSITIVE,
            HOST,
            [volume("v", type="ext4", device="/dev/sda1")],
            [at(101, 100, "/d", "8:1")],
            "holds /bin",
        ),
        (
            SENSITIVE,
            HOST,
            [volume("v", type="ext4", device="/dev/loop0")],
            [at(101, 100, "/d", "7:0")],
            "holds /bin",
        ),
        (  # the upper folder of an overlay that is the host's /etc
            SENSITIVE,
            [*HOST, at(9, 1, "/etc", "0:61", fstype="overlay", layers=["/srv/low", "/srv/up"])],
            [bind("/srv/up")],
            [at(101, 100, "/d", "8:1", "/srv/up")],
            "which shows files of /etc",
        ),
        (  # the lower one, where the overlay covers it
            SENSITIVE,
            [*HOST, at(9, 1, "/etc", "0:61", fstype="overlay", layers=["/etc", "/srv/up"])],
            [bind("/mnt/etc")],
            [at(101, 100, "/d", "8:1", "/etc")],
            "which shows files of /etc",
        ),
        (  # nothing that the engine was asked for: mounted by a plugin, a hook, or from outside
            SOCKET,
            HOST,
            [],
            [at(101, 100, "/opt/x", "0:26")],
            "and with it /run/docker.sock",
        ),
    ],
)
def test_a_protected_directory_mounted_under_another_path_fails(judge: Judge, case: tuple[Any, ...]) -> None:
    slug, host, asked, shown, detail = case
    assert detail in verdict(judge, slug, asked, shown, host=host)["bad"]


@pytest.mark.parametrize(
    ("slug", "host", "asked"),
    [
        (SOCKET, ALIAS_OF_RUN, bind("/srv/data")),
        (SENSITIVE, ALIAS_OF_ROOT, bind("/mnt/hostroot")),
        (SOCKET, [*HOST, at(9, 1, "/srv/a/b", "0:26")], bind("/srv/a")),
        (SOCKET, ALIAS_OF_RUN, volume("v", type="none", o="bind", device="/srv/data")),
        (SENSITIVE, HOST, volume("v", type="overlay", o="lowerdir=/:/srv/x", device="overlay")),
        (SOCKET, HOST, volume("v", type="overlay", o="lowerdir=/srv/x:/run", device="overlay")),
    ],
)
def test_bind_mounts_of_a_stopped_container_are_resolved_through_the_hosts_mounts(
    judge: Judge, slug: str, host: list[dict[str, Any]], asked: dict[str, Any]
) -> None:
    assert "bad" in verdict(judge, slug, [asked], None, host=host)


@pytest.mark.parametrize(
    ("option", "mounted", "fails"),
    [("bind", "inner", False), ("rbind", "inner", True), ("rbind", "inner/deeper", False)],
)
def test_a_subpath_of_a_recursive_volume_shows_what_is_mounted_there_but_nothing_below(
    judge: Judge, option: str, mounted: str, fails: bool
) -> None:
    asked = volume("v", type="none", o=option, device="/srv/data")
    mount = {"Type": "volume", "Target": "/d", "VolumeOptions": {"Subpath": "inner"}}
    host = [*HOST, at(7, 1, f"/srv/data/{mounted}", "0:26")]
    found = verdict(judge, SOCKET, [asked], None, host=host, HostConfig={"Mounts": [mount]})
    assert ("bad" in found) is fails


@pytest.mark.parametrize(("mounted", "fails"), [("inner", True), ("inner/deeper", False)])
def test_a_subpath_in_the_engines_folder_shows_what_is_mounted_there_but_nothing_below(
    judge: Judge, mounted: str, fails: bool
) -> None:
    asked = volume("v")
    mount = {"Type": "volume", "Target": "/d", "VolumeOptions": {"Subpath": "inner"}}
    host = [*HOST, at(7, 1, f"/var/lib/docker/volumes/v/_data/{mounted}", "0:26")]
    found = verdict(judge, SOCKET, [asked], None, host=host, HostConfig={"Mounts": [mount]})
    assert ("bad" in found) is fails


def test_a_volume_on_an_unmounted_disk_of_the_host_fails(judge: Judge) -> None:
    asked = volume("v", type="ext4", device="/srv/node")
    node = {"type": "other", "node": "b 8:1"}
    assert "bad" in verdict(judge, SENSITIVE, [asked], None, files={"/srv/node": node})


@pytest.mark.parametrize(
    ("slug", "asked", "shown"),
    [
        (SENSITIVE, [bind("/srv/data")], [at(101, 100, "/d", "8:1", "/srv/data")]),
        (SENSITIVE, [volume("v")], [at(101, 100, "/d", "8:1", "/var/lib/docker/volumes/v/_data")]),
        # what the engine keeps for the container, and what the runtime mounts
        (SENSITIVE, [], [at(101, 100, "/etc/hosts", "8:1", f"/var/lib/docker/containers/{ID}/hosts")]),
        (SENSITIVE, [], [at(101, 100, "/etc/hosts", "8:1", "/var/lib/docker/containers/beef/hosts")]),
        (SENSITIVE, [], [at(101, 100, "/sys", "0:22", fstype="sysfs")]),
        (SENSITIVE, [], [at(101, 100, "/dev/null", "0:6", "/null", fstype="devtmpfs")]),
        # the empty folder below the host's /run, and what another mount hides
        (SOCKET, [bind("/mnt/hostroot/run")], [at(101, 100, "/d", "8:1", "/run")]),
        (SOCKET, [bind("/run")], [at(101, 100, "/d", "0:26"), at(102, 101, "/d", "0:77", fstype="tmpfs")]),
        # the runtime added a file of a driver, read-only
        (SENSITIVE, [], [at(101, 100, "/usr/lib/libcuda.so", "8:1", "/usr/lib/libcuda.so", options="ro")]),
    ],
)
def test_mounts_that_show_no_protected_path_of_the_host_pass(
    judge: Judge, slug: str, asked: list[dict[str, Any]], shown: list[dict[str, Any]]
) -> None:
    assert verdict(judge, slug, asked, shown, host=ALIAS_OF_ROOT) == {}


@pytest.mark.parametrize(
    ("devices", "rules", "detail"),
    [
        (["/dev/sda"], [], "has /dev/sda (8:0), the disk of /bin"),
        (["/dev/sda1"], [], "the disk of /bin"),
        (["/srv/node"], [], "has /srv/node (8:1), the disk of /bin"),
        ([], ["b 8:* rwm"], "may open device 8:"),
        ([], ["a *:* rwm"], "may open device 8:"),
        ([], ["b 8:1 r"], "may open device 8:1, the disk of /bin"),
        ([], ["b 7:0 r"], "may open device 7:0 on 8:1, the disk of /bin"),  # a loop device
        (["/dev/sdc"], [], ""),
        (["/dev/fuse"], ["c 10:229 rwm", "b 8:32 rwm", "b 8:1 m"], ""),
    ],
)
def test_device_nodes_of_the_hosts_disks_fail(
    judge: Judge, devices: list[str], rules: list[str], detail: str
) -> None:
    config = {
        "Devices": [{"PathOnHost": path, "CgroupPermissions": "rwm"} for path in devices],
        "DeviceCgroupRules": rules,
    }
    files = {
        "/srv/node": {"type": "other", "node": "b 8:1"},
        "/dev/fuse": {"type": "other", "node": "c 10:229"},
    }
    found = verdict(judge, SENSITIVE, [], [], files=files, HostConfig=config)
    assert (detail in found["bad"]) if detail else found == {}


def test_the_policy_is_compared_with_the_resolved_mount(judge: Judge) -> None:
    container = hardened(
        "bad",
        proc={"mounts": [at(100, 50, "/", "0:48"), at(101, 100, "/d", "0:26")], "mounts_truncated": False},
        Mounts=[bind("/srv/data")],
    )
    for path, status in (("/srv/data", Status.FAIL), ("/run", Status.PASS)):
        policy = {"sensitive_mounts": {"*": [path]}}
        snapshot = with_containers(container, mounts=ALIAS_OF_RUN, block_devices=only(DISKS), policy=policy)
        assert judge(SENSITIVE, snapshot).status is status


def test_a_truncated_list_of_mounts_is_an_error(judge: Judge) -> None:
    container = hardened("bad", proc={"mounts": [at(100, 50, "/", "0:48")], "mounts_truncated": True})
    snapshot = with_containers(container, mounts=HOST, block_devices=only(DISKS))
    with pytest.raises(FactUnavailable, match="more mounts than were collected"):
        judge(SOCKET, snapshot)


def test_without_mount_facts_a_container_is_judged_by_the_declared_source_path(judge: Judge) -> None:
    for source, status in (("/srv/data", Status.PASS), ("/run", Status.FAIL)):
        container = hardened("bad", Mounts=[bind(source)])
        assert judge(SOCKET, with_containers(container)).status is status


BINDFS = [*HOST, at(9, 1, "/mnt/all", "0:90", fstype="fuse", source="/")]


@pytest.mark.parametrize(
    "case",
    [
        (  # a FUSE program that passes a folder on: bindfs names it as the source
            SENSITIVE,
            BINDFS,
            {},
            [bind("/mnt/all")],
            [at(101, 100, "/d", "0:90", fstype="fuse", source="/")],
            "which holds /bin",
        ),
        (
            SOCKET,
            [*HOST, at(9, 1, "/mnt/all", "0:90", fstype="fuse.bindfs", source="/run")],
            {},
            [bind("/mnt/all")],
            [at(101, 100, "/d", "0:90", fstype="fuse.bindfs", source="/run")],
            "and with it /run/docker.sock",
        ),
        (  # system folders that are links
            SENSITIVE,
            HOST,
            {"/home": {"type": "link", "target": "/srv/home"}},
            [bind("/srv/home/alice")],
            [at(101, 100, "/d", "8:1", "/srv/home/alice")],
            "where users keep their keys",
        ),
        (
            SENSITIVE,
            HOST,
            {"/root": {"type": "link", "target": "/srv/root"}},
            [bind("/srv/root/x")],
            [at(101, 100, "/d", "8:1", "/srv/root/x")],
            "inside /root",
        ),
        (  # a client's keys
            SENSITIVE,
            HOST,
            {},
            [bind("/home/alice/.docker")],
            [at(101, 100, "/d", "8:3", "/alice/.docker")],
            "where users keep their keys",
        ),
        (  # a socket that the engine has made anew since: the next start mounts that
            SOCKET,
            HOST,
            {},
            [bind("/run/docker.sock", "/d.sock")],
            [at(101, 100, "/d.sock", "0:26", "/docker.sock//deleted")],
            "the API socket of a container runtime",
        ),
    ],
)
def test_mounts_that_show_the_host_indirectly_fail(
    judge: Judge,
    case: tuple[str, list[dict[str, Any]], dict[str, Any], list[dict[str, Any]], list[dict[str, Any]], str],
) -> None:
    slug, host, files, asked, shown, detail = case
    for at_runtime in (shown, None):
        assert detail in verdict(judge, slug, asked, at_runtime, host=host, files=files)["bad"]


@pytest.mark.parametrize(
    ("fstype", "source"),
    [
        ("fuse.sshfs", "me@there:/"),
        ("fuseblk", "/dev/sdb1"),
        ("fuse.ext2", "/dev/sdb1"),
        ("fuse.lxcfs", "lxcfs"),
    ],
)
def test_fuse_mounts_that_show_no_folder_of_the_host_pass(judge: Judge, fstype: str, source: str) -> None:
    host = [*HOST, at(9, 1, "/mnt/all", "0:90", fstype=fstype, source=source)]
    shown = [at(101, 100, "/d", "0:90", fstype=fstype, source=source)]
    for slug in (SOCKET, SENSITIVE):
        assert verdict(judge, slug, [bind("/mnt/all")], shown, host=host) == {}


@pytest.mark.parametrize(
    ("asked", "offset"), [("/srv/stage/gone", ""), ("/srv/stage", "/gone"), ("/srv", "/stage/gone")]
)
def test_mounting_a_removed_api_socket_that_is_still_mounted_on_the_host_fails(
    judge: Judge, asked: str, offset: str
) -> None:
    gone = {"path": "", "name": "/run/gone.sock", "dev": "0:26", "ino": 77, "process": "dockerd"}
    host = [*HOST, at(9, 1, "/srv/stage/gone", "0:26", "/gone.sock//deleted")]
    shown = [at(101, 100, "/d", "8:1", asked)] if offset else []
    shown.append(at(102, 101 if offset else 100, f"/d{offset}", "0:26", "/gone.sock//deleted"))
    for at_runtime in (shown, None):
        found = verdict(judge, SOCKET, [bind(asked)], at_runtime, host=host, engine={"sockets": [gone]})
        assert "an API socket of a container runtime that was removed since" in found["bad"]


@pytest.mark.parametrize(("point", "fails"), [("/dev/h", True), ("/srv/p", True), ("/proc", False)])
def test_a_proc_file_system_mounted_elsewhere_than_at_proc_fails(
    judge: Judge, point: str, fails: bool
) -> None:
    found = verdict(judge, SENSITIVE, [], [at(101, 100, point, "0:23", fstype="proc")])
    assert bool(found) is fails
