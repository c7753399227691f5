from __future__ import annotations

from typing import Any

import pytest

from hardener.model import Status
from hardener.snapshot import FactUnavailable
from tests.unit.checks.judging import Judge
from tests.unit.checks.runtime.cases import broken, held
from tests.unit.snapshots import failed, hardened, with_containers


def bind(source: str, *, rw: bool = True, propagation: str = "rprivate") -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": source,
        "Destination": "/host",
        "Mode": "" if rw else "ro",
        "RW": rw,
        "Propagation": propagation,
    }


def mounting(*mounts: dict[str, Any], name: str = "bad", running: bool = True) -> dict[str, Any]:
    return hardened(name, running=running, Mounts=list(mounts))


def volume(name: str, **options: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A mount of a local volume, and the volume."""
    mount = {
        "Type": "volume",
        "Name": name,
        "Source": f"/var/lib/docker/volumes/{name}/_data",
        "Destination": "/host",
        "Driver": "local",
        "RW": True,
        "Propagation": "",
    }
    return mount, {"Name": name, "Driver": "local", "Mountpoint": mount["Source"], "Options": options or None}


class TestSensitiveMounts:
    SLUG = "container-no-sensitive-mounts"

    @pytest.mark.parametrize(
        ("source", "detail"),
        [
            ("/", "mounts / read-write at /host, which holds /bin"),
            ("/boot", "mounts /boot read-write at /host, a system directory"),
            ("/dev", "a system directory"),
            ("/etc", "a system directory"),
            ("/lib", "a system directory"),
            ("/proc", "a system directory"),
            ("/sys", "a system directory"),
            ("/usr", "a system directory"),
            ("/etc/ssl", "inside /etc"),
            ("/dev/sda", "inside /dev"),
            ("/sys/fs/cgroup", "inside /sys"),
        ],
    )
    @pytest.mark.parametrize("running", [True, False])
    def test_a_container_that_mounts_a_system_directory_fails(
        self, judge: Judge, source: str, detail: str, running: bool
    ) -> None:
        assert detail in broken(judge, self.SLUG, mounting(bind(source), running=running))

    @pytest.mark.parametrize(
        ("source", "detail"),
        [
            ("/etc/cron.d", "inside /etc"),
            ("/root", "a system directory"),
            ("/root/.ssh", "inside /root"),
            ("/home", "where users keep their keys"),
            ("/home/alice", "where users keep their keys"),
            ("/home/alice/.ssh", "where users keep their keys"),
            ("/var", "which holds /var/lib/containerd"),
            ("/var/run", "a system directory"),
            ("/run", "a system directory"),
            ("/run/dbus", "inside /run"),
            ("/var/lib", "which holds /var/lib/containerd"),
            ("/var/lib/docker", "a system directory"),
            ("/var/lib/docker/volumes/db/_data", "inside /var/lib/docker"),
        ],
    )
    def test_parents_and_children_of_a_sensitive_path_fail(
        self, judge: Judge, source: str, detail: str
    ) -> None:
        assert detail in broken(judge, self.SLUG, mounting(bind(source)))

    def test_a_read_only_mount_fails_and_is_named_read_only(self, judge: Judge) -> None:
        detail = broken(judge, self.SLUG, mounting(bind("/etc", rw=False)))
        assert detail.startswith("mounts /etc read-only at /host")

    @pytest.mark.parametrize("source", ["//etc//", "/srv/../etc", "/./etc/.", "/etc/ssl/.."])
    def test_a_sensitive_path_in_another_spelling_fails(self, judge: Judge, source: str) -> None:
        assert "mounts /etc read-write" in broken(judge, self.SLUG, mounting(bind(source)))

    def test_a_link_to_a_sensitive_path_fails_as_its_target(self, judge: Judge) -> None:
        files = {"/srv/web/conf": {"type": "dir", "target": "/etc/nginx"}}
        detail = broken(judge, self.SLUG, mounting(bind("/srv/web/conf")), files=files)
        assert "mounts /srv/web/conf (which is /etc/nginx) read-write" in detail

    @pytest.mark.parametrize(
        "source",
        ["/srv/data", "/etcetera", "/home/alice/app/data", "/mnt/usr", "/opt/etc", "/data", "/var/log/app"],
    )
    def test_a_container_that_mounts_only_other_directories_passes(self, judge: Judge, source: str) -> None:
        held(judge, self.SLUG, mounting(bind(source)))

    def test_a_removed_file_is_judged_by_its_path(self, judge: Judge) -> None:
        broken(judge, self.SLUG, mounting(bind("/etc/gone")), files={"/etc/gone": None})

    @pytest.mark.parametrize(
        "options",
        [
            {"type": "none", "o": "bind", "device": "/etc"},
            {"type": "none", "o": "bind,ro", "device": "/etc/"},
            {"type": "ext4", "device": "/dev/sda1"},
        ],
    )
    def test_a_volume_whose_options_mount_a_sensitive_path_fails(
        self, judge: Judge, options: dict[str, str]
    ) -> None:
        mount, record = volume("data", **options)
        assert broken(judge, self.SLUG, mounting(mount), **{"docker.volumes": [record]})

    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"type": "tmpfs", "device": "tmpfs"},
            {"type": "nfs", "o": "addr=10.0.0.1", "device": ":/etc"},
            {"type": "none", "o": "bind", "device": "/srv/data"},
        ],
    )
    def test_volumes_that_mount_no_sensitive_path_pass(self, judge: Judge, options: dict[str, str]) -> None:
        mount, record = volume("data", **options)
        held(judge, self.SLUG, mounting(mount), **{"docker.volumes": [record]})

    def test_mounting_the_engines_data_root_fails(self, judge: Judge) -> None:
        bad = mounting(bind("/srv/docker/overlay2"))
        assert "inside /srv/docker" in broken(judge, self.SLUG, bad, info={"DockerRootDir": "/srv/docker"})

    def test_the_policy_allows_paths_and_their_content(self, judge: Judge) -> None:
        policy = {"sensitive_mounts": {"proxy*": ["/etc/ssl/certs/"]}}
        verdict = held(judge, self.SLUG, mounting(bind("/etc/ssl/certs/ca"), name="proxy-1"), policy=policy)
        assert "container proxy-1: policy lets it mount /etc/ssl/certs/ca" in verdict.evidence
        broken(judge, self.SLUG, mounting(bind("/etc/ssl/certs/ca")), policy=policy)
        for source in ("/etc/ssl", "/etc/ssl/certs-old"):
            snapshot = with_containers(mounting(bind(source), name="proxy"), policy=policy)
            assert judge(self.SLUG, snapshot).status is Status.FAIL

    @pytest.mark.parametrize("policy", ["/etc", {"*": "/etc"}, {"*": [1]}])
    def test_a_policy_of_the_wrong_type_is_an_error(self, judge: Judge, policy: Any) -> None:
        with pytest.raises(FactUnavailable, match="sensitive_mounts"):
            judge(self.SLUG, with_containers(hardened(), policy={"sensitive_mounts": policy}))

    @pytest.mark.parametrize("mounts", [None, []])
    def test_a_container_without_mounts_passes(self, judge: Judge, mounts: Any) -> None:
        held(judge, self.SLUG, hardened(Mounts=mounts))

    @pytest.mark.parametrize("mounts", ["/etc", [None], [["/etc"]], {"Source": "/etc"}])
    def test_mounts_of_the_wrong_type_are_an_error(self, judge: Judge, mounts: Any) -> None:
        with pytest.raises(FactUnavailable, match="Mounts"):
            judge(self.SLUG, with_containers(hardened(Mounts=mounts)))

    def test_unreadable_volumes_and_files_are_an_error(self, judge: Judge) -> None:
        mount, _ = volume("data", device="/etc")
        with pytest.raises(FactUnavailable):
            judge(self.SLUG, with_containers(mounting(mount), **{"docker.volumes": failed("timed out")}))
        with pytest.raises(FactUnavailable):
            judge(self.SLUG, with_containers(mounting(bind("/srv")), files=failed("timed out")))


class TestRuntimeSocket:
    SLUG = "container-no-docker-sock"

    @pytest.mark.parametrize(
        "source",
        [
            "/var/run/docker.sock",
            "/run/docker.sock",
            "/run/containerd/containerd.sock",
            "/run/podman/podman.sock",
            "/run/crio/crio.sock",
            "/var/run/user/1000/docker.sock",
            "/run/user/1000/podman/podman.sock",
        ],
    )
    @pytest.mark.parametrize("rw", [True, False])
    def test_a_container_that_mounts_the_socket_of_a_container_engine_fails(
        self, judge: Judge, source: str, rw: bool
    ) -> None:
        detail = broken(judge, self.SLUG, mounting(bind(source, rw=rw)))
        assert "API socket" in detail
        assert ("read-write" if rw else "read-only") in detail

    @pytest.mark.parametrize(
        ("label", "status"),
        [
            ("docker-default (enforce)", Status.PASS),
            ("unconfined-tool (enforce)", Status.PASS),
            ("docker-default (complain)", Status.FAIL),
            ("unconfined", Status.FAIL),
            (None, Status.FAIL),
        ],
    )
    def test_a_profile_confines_a_container_that_may_trace_the_hosts_processes_only_if_it_is_enforced(
        self, judge: Judge, label: str | None, status: Status
    ) -> None:
        proc = {"label": label, "host_namespaces": ["pid", "user"], "cap_eff": f"{1 << 19:016x}"}
        assert judge(self.SLUG, with_containers(hardened("a", proc=proc))).status is status

    @pytest.mark.parametrize("source", ["/run", "/var/run", "/", "/run/containerd", "/run/podman"])
    def test_mounting_a_parent_directory_exposes_the_socket(self, judge: Judge, source: str) -> None:
        assert "and with it /run/" in broken(judge, self.SLUG, mounting(bind(source)))

    def test_a_symbolic_link_to_the_socket_is_found(self, judge: Judge) -> None:
        files = {"/srv/harmless": {"type": "socket", "target": "/run/docker.sock", "dev": 24, "ino": 77}}
        detail = broken(judge, self.SLUG, mounting(bind("/srv/harmless")), files=files)
        assert "mounts /srv/harmless (which is /run/docker.sock)" in detail

    def test_a_hard_link_to_the_socket_is_found(self, judge: Judge) -> None:
        socket = {"type": "socket", "dev": 24, "ino": 77}
        files = {"/run/docker.sock": socket, "/srv/harmless": socket}
        detail = broken(judge, self.SLUG, mounting(bind("/srv/harmless")), files=files)
        assert "the same socket as /run/docker.sock" in detail

    def test_mounting_the_socket_of_the_engine_fails_at_any_path(self, judge: Judge) -> None:
        engine = {"socket": "/srv/engine/api", "containerd_socket": "/srv/ctrd/ctrd.sock"}
        for source in ("/srv/engine/api", "/srv/engine", "/srv/ctrd"):
            broken(judge, self.SLUG, mounting(bind(source)), engine=engine)

    def test_a_volume_whose_options_mount_the_folder_of_the_socket_fails(self, judge: Judge) -> None:
        mount, record = volume("data", type="none", o="bind", device="/var/run")
        broken(judge, self.SLUG, mounting(mount), **{"docker.volumes": [record]})

    @pytest.mark.parametrize(
        "source",
        ["/srv/docker.sock.d", "/run/dbus", "/etc", "/run/docker.sock2", "/run/user/1000/bus", "/srv"],
    )
    def test_a_mount_without_the_socket_of_a_container_engine_passes(self, judge: Judge, source: str) -> None:
        held(judge, self.SLUG, mounting(bind(source)))

    def test_mounting_a_socket_with_another_inode_passes(self, judge: Judge) -> None:
        files = {
            "/run/docker.sock": {"type": "socket", "dev": 24, "ino": 77},
            "/srv/app.sock": {"type": "socket", "dev": 24, "ino": 78},
        }
        held(judge, self.SLUG, mounting(bind("/srv/app.sock")), files=files)

    def test_containers_are_undecided_if_the_sockets_of_the_host_could_not_be_listed(
        self, judge: Judge
    ) -> None:
        engine = {"sockets_error": "Message too long"}
        held(judge, self.SLUG, mounting(), engine=engine)
        for reaching in (mounting(bind("/srv")), hardened("bad", proc={"host_namespaces": ["net"]})):
            with pytest.raises(FactUnavailable, match="not all known: Message too long"):
                judge(self.SLUG, with_containers(reaching, engine=engine))
        verdict = judge(
            self.SLUG,
            with_containers(mounting(bind("/run")), mounting(bind("/srv"), name="other"), engine=engine),
        )
        assert (verdict.status, [each.name for each in verdict.offenders]) == (Status.FAIL, ["bad"])
        assert verdict.undecided is not None


class TestPropagation:
    SLUG = "container-no-shared-propagation"

    @pytest.mark.parametrize("propagation", ["shared", "rshared"])
    def test_a_mount_with_shared_propagation_fails(self, judge: Judge, propagation: str) -> None:
        snapshot = with_containers(
            mounting(bind("/srv", propagation=propagation)), mounting(bind("/srv"), name="twin")
        )
        verdict = judge(self.SLUG, snapshot)
        assert [offender.name for offender in verdict.offenders] == ["bad"]
        assert f"mounts /srv with {propagation} propagation" in verdict.actual

    @pytest.mark.parametrize("propagation", ["", "private", "rprivate", "slave", "rslave"])
    def test_a_mount_with_private_or_slave_propagation_passes(self, judge: Judge, propagation: str) -> None:
        held(judge, self.SLUG, mounting(bind("/srv", propagation=propagation)))

    def test_the_control_is_not_applicable_without_bind_mounts(self, judge: Judge) -> None:
        mount, _ = volume("data")
        verdict = judge(self.SLUG, with_containers(mounting(mount)))
        assert (verdict.status, verdict.actual) == (Status.NOT_APPLICABLE, "no container has a bind mount")


@pytest.mark.parametrize("value", [False, None])
def test_a_writable_root_filesystem_fails(judge: Judge, value: Any) -> None:
    slug = "container-readonly-rootfs"
    assert broken(judge, slug, hardened("bad", HostConfig={"ReadonlyRootfs": value}))
    assert broken(judge, slug, hardened("bad", running=False, HostConfig={"ReadonlyRootfs": value}))
    held(judge, slug, hardened())


def test_a_root_declared_read_only_fails_if_the_kernel_mounts_it_writable(judge: Judge) -> None:
    slug = "container-readonly-rootfs"
    root = {"mount_point": "/", "fstype": "overlay", "options": "rw,relatime"}
    bad = hardened("bad", proc={"mounts": [root]})
    assert broken(judge, slug, bad) == "has a writable root filesystem, although it is declared read-only"
    mounts = [{**root, "options": "ro"}, {"mount_point": "/run", "fstype": "tmpfs", "options": "rw"}]
    volume = {"Type": "volume", "Name": "data", "Destination": "/data", "RW": True}
    verdict = held(judge, slug, hardened("own", proc={"mounts": mounts}, Mounts=[volume]))
    assert "container own: writable paths: /data (volume), /run (tmpfs)" in verdict.evidence


@pytest.mark.parametrize(
    ("config", "detail"),
    [
        ({"Devices": [{"PathOnHost": "/dev/sda", "CgroupPermissions": "rwm"}]}, "has /dev/sda (rwm)"),
        ({"Devices": [{"PathOnHost": "/dev/fuse"}]}, "has /dev/fuse (rwm)"),
        ({"DeviceCgroupRules": ["b *:* rwm"]}, "may open devices by the rule 'b *:* rwm'"),
        ({"DeviceRequests": [{"Driver": "nvidia", "Count": -1}]}, "requests devices of driver nvidia: all"),
        (
            {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["a/b=0"]}]},
            "requests devices of driver cdi: a/b=0",
        ),
        ({"Privileged": True}, "is privileged and reaches every device"),
    ],
)
def test_containers_with_host_devices_fail(judge: Judge, config: dict[str, Any], detail: str) -> None:
    slug = "container-no-host-devices"
    assert broken(judge, slug, hardened("bad", HostConfig=config)) == detail
    assert detail in broken(judge, slug, hardened("bad", running=False, HostConfig=config))
    held(judge, slug, hardened(HostConfig={"Devices": None, "DeviceCgroupRules": None}))
