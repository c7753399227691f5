from __future__ import annotations

import posixpath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardener.checks.lib.paths import closed_folder
from hardener.model import Status
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import make

USERS = ((1000, frozenset({1000})), (1001, frozenset({100})), (65534, frozenset({65534})))


def mount(number: int, point: str, root: str = "/") -> dict[str, Any]:
    """A mount of the root filesystem, or of a part of it at another place."""
    shown = {"id": number, "parent": number - 1, "mount_point": point, "root": root}
    return {**shown, "device": "254:1", "fstype": "ext4", "source": "/dev/vda1", "options": "rw"}


ROOT = mount(1, "/")


def record(mode: str, *, type: str = "dir", uid: int = 0, gid: int = 0, **more: Any) -> dict[str, Any]:  # noqa: A002
    found = {"type": type, "mode": mode, "uid": uid, "gid": gid, "owner": str(uid), "group": str(gid)}
    return {**found, "target": None, "acl": [], "exchangeable": "", **more}


folders = st.builds(
    record,
    st.integers(0, 0o777).map(lambda mode: f"{mode:04o}"),
    uid=st.sampled_from([0, 0, 1000]),
    gid=st.sampled_from([0, 100, 1000]),
    acl=st.sampled_from([[], [{"tag": "user", "id": 1001, "name": "bob", "perms": "--x"}]]),
)


def searches(user: tuple[int, frozenset[int]], folder: dict[str, Any]) -> bool:
    """Whether the kernel lets a user other than root search a folder."""
    uid, groups = user
    mode = int(folder["mode"], 8)
    if uid == folder["uid"]:
        return bool(mode & 0o100)
    if any(entry["id"] == uid for entry in folder["acl"]):
        return True
    return bool(mode & (0o010 if folder["gid"] in groups else 0o001))


@given(st.lists(folders, min_size=1, max_size=4))
def test_no_user_reaches_what_is_below_a_closed_folder(tree: list[dict[str, Any]]) -> None:
    paths = ["/a", "/a/b", "/a/b/c", "/a/b/c/d"][: len(tree)]
    snapshot = make(files=dict(zip(paths, tree, strict=True)), mounts=[ROOT])
    closed = closed_folder(snapshot, f"{paths[-1]}/file")
    shut = [
        path for path, folder in zip(paths, tree, strict=True) if not any(searches(u, folder) for u in USERS)
    ]
    assert not closed or closed in shut
    roots = [
        path for path, each in zip(paths, tree, strict=True) if each["mode"] == "0700" and not each["uid"]
    ]
    if any(not folder["acl"] for path, folder in zip(paths, tree, strict=True) if path in roots):
        assert closed


WIDE = [
    {"mode": "0777"},
    {"mode": "0662"},
    {"acl": [{"tag": "user", "id": 1000, "name": "ann", "perms": "rw-"}]},
]
CASES = {
    "file-engine-own": "/run/docker/metrics.sock",
    "file-docker-sock-mode": "/run/docker.sock",
    "docker-group-trusted-users": "/run/docker.sock",
    "file-containerd-sock-mode": "/run/containerd/containerd.sock",
    "file-daemon-json-mode": "/etc/docker/daemon.json",
    "file-etc-default-docker-mode": "/etc/default/docker",
    "file-registry-cert-mode": "/etc/docker/certs.d/r/ca.crt",
}


@pytest.mark.parametrize("wide", WIDE)
@pytest.mark.parametrize("slug", CASES)
def test_a_file_that_no_user_can_reach_passes_whatever_its_mode(
    judge: Judge, slug: str, wide: dict[str, Any]
) -> None:
    path = CASES[slug]
    folder = posixpath.dirname(path)
    file = {**record("0600", type="file"), **wide}
    policy: dict[str, Any] = {"docker_group_members": []}
    beside = mount(2, "/srv/shown", folder)

    def verdict(mode: str, mounts: Any = (ROOT,), **owner: Any) -> Status:
        files = {path: file, folder: record(mode, **owner), "/etc/docker": record("0755")}
        if folder == "/etc/docker":
            files[folder] = record(mode, **owner)
        return judge(slug, make(files=files, mounts=list(mounts), policy=policy)).status

    for mode in ("0700", "0600", "0710", "0750", "0744"):
        assert verdict(mode) is Status.PASS, mode
    for mode in ("0711", "0755", "0701"):
        assert verdict(mode) is Status.FAIL, mode
    assert verdict("0710", gid=100) is Status.FAIL
    assert verdict("0700", uid=1000) is Status.FAIL
    assert verdict("0700", acl=[{"tag": "group", "id": 100, "name": "g", "perms": "r-x"}]) is Status.FAIL
    assert verdict("0700", [ROOT, beside]) is Status.FAIL
    unordered = {key: value for key, value in ROOT.items() if key not in ("id", "parent")}
    earlier = make(files={path: file, folder: record("0700")}, mounts=[unordered], policy=policy)
    assert judge(slug, earlier).status is Status.FAIL


def test_a_file_in_an_exchangeable_folder_passes_only_if_a_folder_above_that_is_closed(judge: Judge) -> None:
    path = "/etc/docker/certs.d/r/ca.crt"
    for folder, status in (("/etc/docker/certs.d", Status.PASS), ("/etc", Status.FAIL)):
        file = record("0444", type="file", exchangeable=f"{folder} is of uid 1000, mode 0755")
        snapshot = make(files={path: file, "/etc/docker": record("0700")}, mounts=[ROOT])
        assert judge("file-registry-cert-mode", snapshot).status is status
