"""Ways from a container to an engine's API and to the host's files that no generator of the oracles makes.

Each attack says what must be true in reality, and that is tried from inside of the container with its own
privileges; then the verdicts have to say the same. They were written by somebody who had not written the
judges.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hardener.snapshot import Snapshot
from tests.integration.collecting import collect, judge, named
from tests.integration.dockerd import Dockerd, EngineError
from tests.integration.relay import RELAY
from tests.leftovers import tied

pytestmark = pytest.mark.slow

SOCKET, SENSITIVE = "container-no-docker-sock", "container-no-sensitive-mounts"
KERNEL, CGROUPS = "container-kernel-paths-hidden", "container-cgroups-private"
JUDGED = (SOCKET, SENSITIVE, KERNEL, CGROUPS)
USR_BIN = Path("/usr/bin")
FOREVER = "busybox sleep 1000000"


@dataclass
class Stage:
    """An engine with several sockets, and folders of the host around them."""

    engine: Dockerd
    stack: ExitStack
    disk: Path  # of the engine's data root
    inodes: dict[str, tuple[int, int]] = field(default_factory=dict)
    late: list[Callable[[], object]] = field(default_factory=list)

    def folder(self, name: str) -> Path:
        """A new folder of the host."""
        path = self.engine.root / name
        path.mkdir(parents=True)
        return path

    def mount(self, *arguments: str | Path) -> None:
        """Mount something on the host until the end."""
        subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)
        self.stack.callback(subprocess.run, ["umount", "--lazy", arguments[-1]], check=False)

    def start(self, *command: str | Path) -> int:
        """Start a program of the host until the end."""
        process = subprocess.Popen(
            tied(*map(str, command)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process.pid

    def program(self, name: str, text: str) -> Path:
        """A program of the host, which the kernel calls by its file's name."""
        folder = self.folder(f"bin-{name}")
        path = folder / name
        path.write_text(text.replace("{python}", sys.executable))
        path.chmod(0o755)
        return path

    def volume(self, name: str, **options: str) -> Path:
        """A local volume; its folder."""
        made = self.engine.api("POST", "/volumes/create", {"Name": name, "DriverOpts": options})
        return Path(made["Mountpoint"])

    def listens(self, path: Path) -> None:
        """Wait for a socket."""
        deadline = time.monotonic() + 30
        while not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def bind(source: str | Path, target: str = "/d", **more: Any) -> dict[str, Any]:
    """A request that mounts something of the host."""
    return {"host_config": {"Mounts": [{"Type": "bind", "Source": str(source), "Target": target, **more}]}}


def mounted(name: str, **more: Any) -> dict[str, Any]:
    """A request that mounts a volume."""
    mount = {"Type": "volume", "Source": name, "Target": "/d", **more}
    return {"host_config": {"Mounts": [mount]}}


def shell(text: str, **host_config: Any) -> dict[str, Any]:
    """A request with a command of its own."""
    return {"command": ["sh", "-c", f"{text}; exec {FOREVER}"], "host_config": host_config}


@dataclass(frozen=True)
class Attack:
    """One container.

    Args:
        name: of the container.
        request: makes what it needs on the host, and gives what the engine is asked for.
        reality: tried in the container: a command that succeeds where the way is open.
        breaks: the controls that have to name it, those alone.
        open: what the command is expected to show.
        stopped: the controls that have to name it before its start; None where that is the same.
    """

    name: str
    request: Callable[[Stage], dict[str, Any]]
    reality: Callable[[Stage], str]
    breaks: tuple[str, ...]
    open: bool = True
    stopped: tuple[str, ...] | None = None


def is_socket(path: str, which: str = "second") -> Callable[[Stage], str]:
    """The file in the container is this socket of the engine's."""

    def command(stage: Stage) -> str:
        device, inode = stage.inodes[which]
        return f"[ \"$(busybox stat -c %d:%i '{path}')\" = {device}:{inode} ]"

    return command


def writes_core_pattern(folder: str) -> Callable[[Stage], str]:
    """The program that the kernel starts for a crash can be exchanged: it is written back as it is."""
    path = f"{folder}/core_pattern"
    return lambda _: f'pattern=$(cat {path}) && echo "$pattern" > {path}'


def second(stage: Stage) -> Path:
    return stage.engine.root / "second"


def hard_link(stage: Stage) -> dict[str, Any]:
    folder = stage.folder("linked/deep/er")
    os.link(second(stage) / "api.sock", folder / "harmless")
    return bind(folder.parent.parent)


def renamed(stage: Stage) -> dict[str, Any]:
    folder = stage.folder("moved")
    (stage.engine.root / "third/api.sock").rename(folder / "app.sock")
    return bind(folder)


def unlinked(stage: Stage) -> dict[str, Any]:
    path = stage.engine.root / "fourth/api.sock"
    stage.late.append(path.unlink)
    return bind(path, "/d.sock")


def through_processes(stage: Stage) -> str:
    return f"/proc/{stage.engine.pid}/root{second(stage)}/api.sock"


def process_reality(stage: Stage) -> str:
    return is_socket(through_processes(stage))(stage)


def entered(stage: Stage) -> dict[str, Any]:
    command = f"busybox nsenter -t {os.getpid()} -m /bin/sleep 1000000 & true"
    return shell(command, Privileged=True, PidMode="host")


def sleeps_outside(_: Stage) -> str:
    """A process that was started in the container has the mounts of the host."""
    host = f'"$(busybox readlink /proc/{os.getpid()}/ns/mnt)"'
    here = "busybox grep -q 1000000 $process/cmdline"
    there = f'[ "$(busybox readlink $process/ns/mnt)" = {host} ]'
    return f"for process in /proc/[0-9]*; do {there} && {here} && exit 0; done; exit 1"


def chrooted(stage: Stage, **more: Any) -> dict[str, Any]:
    copy = "mkdir -p /jail; busybox cp /bin/busybox /jail/busybox"
    command = f"{copy}; exec busybox chroot /jail /busybox sleep 1000000"
    mounts = bind(second(stage))["host_config"]["Mounts"]
    return {"command": ["sh", "-c", command], "host_config": {"Mounts": mounts, **more}}


def linked_image(stage: Stage) -> str:
    return stage.engine.build("linked:1", "FROM busybox:test\nRUN mkdir /real && busybox ln -s real /data\n")


def through_the_images_link(stage: Stage) -> dict[str, Any]:
    return {"image": linked_image(stage), **bind("/usr/bin", "/data", ReadOnly=True)}


def volume_through_the_images_link(stage: Stage) -> dict[str, Any]:
    stage.volume("plain")
    mount = {"Type": "volume", "Source": "plain", "Target": "/data"}
    return {"image": linked_image(stage), "host_config": {"Mounts": [mount]}}


def of_the_kernel(fstype: str, options: str = "") -> Callable[[Stage], dict[str, Any]]:
    def request(stage: Stage) -> dict[str, Any]:
        stage.volume(f"kernel-{fstype}", type=fstype, device=fstype, o=options)
        return mounted(f"kernel-{fstype}")

    return request


def is_kernels(fstype: str, options: str = "") -> Callable[[Stage], str]:
    """The container has the kernel's file system, the one that the host mounts as well."""

    def command(stage: Stage) -> str:
        point = stage.folder(f"mounted-{fstype}")
        arguments = ["-t", fstype, *(["-o", options] if options else []), fstype, point]
        subprocess.run(["mount", *map(str, arguments)], check=True, capture_output=True)
        device = point.stat().st_dev
        subprocess.run(["umount", "--lazy", point], check=True)
        return f"[ $(busybox stat -c %d /d) = {device} ]"

    return command


def nested_in_a_volume(stage: Stage) -> dict[str, Any]:
    folder = stage.volume("nested") / "sub"
    folder.mkdir()
    stage.mount("--bind", second(stage), folder)
    return mounted("nested")


def volume_that_is_a_link(stage: Stage) -> dict[str, Any]:
    folder = stage.volume("exchanged")
    folder.rmdir()
    folder.symlink_to(second(stage))
    return mounted("exchanged")


def part_of_a_volume(stage: Stage) -> dict[str, Any]:
    parent = stage.folder("parts")
    (parent / "harmless").mkdir()
    (parent / "api").mkdir()
    stage.mount("--bind", second(stage), parent / "api")
    stage.volume("parts", type="none", o="rbind", device=str(parent))
    return mounted("parts", VolumeOptions={"Subpath": "harmless"})


def appended_layers(stage: Stage) -> dict[str, Any]:
    # A socket keeps its inode in no overlay: a marked folder of the system does as well.
    stage.volume(
        "layers", type="overlay", device="overlay", o=f"lowerdir+=/usr/bin,lowerdir+={stage.folder('layer')}"
    )
    return mounted("layers", ReadOnly=True)


def link_with_a_slash(stage: Stage) -> dict[str, Any]:
    (stage.engine.root / "alias").symlink_to(second(stage))
    stage.volume("slash", type="none", o="bind", device=f"{stage.engine.root}/alias/")
    return mounted("slash")


def filled_later(stage: Stage) -> dict[str, Any]:
    parent = stage.folder("later")
    (parent / "api").mkdir()
    stage.mount("--bind", parent, parent)
    subprocess.run(["mount", "--make-shared", parent], check=True)
    stage.late.append(lambda: stage.mount("--bind", second(stage), parent / "api"))
    return bind(parent, BindOptions={"Propagation": "rslave"})


def relay(stage: Stage) -> dict[str, Any]:
    folder = stage.folder("relay")
    stage.start(
        stage.program("socat", RELAY),
        f"UNIX-LISTEN:{folder}/app.sock,fork",
        f"UNIX-CONNECT:{stage.engine.socket}",
    )
    stage.listens(folder / "app.sock")
    stage.inodes["relay"] = _identity(folder / "app.sock")
    return bind(folder)


def abstract_relay(stage: Stage) -> dict[str, Any]:
    stage.start(
        stage.program("ncat", RELAY),
        f"ABSTRACT-LISTEN:hardener-{os.getpid()},fork",
        f"UNIX-CONNECT:{stage.engine.socket}",
    )
    return {"host_config": {"NetworkMode": "host"}}


def sees_abstract(stage: Stage) -> str:
    return f"busybox grep -q @hardener-{os.getpid()} /proc/net/unix"


def of_another_runtime(stage: Stage) -> dict[str, Any]:
    folder = stage.folder("podman")
    stage.start(stage.program("podman", RELAY), f"x:{folder}/api.sock", f"x:{stage.engine.socket}")
    stage.listens(folder / "api.sock")
    stage.inodes["podman"] = _identity(folder / "api.sock")
    return bind(folder)


def by_a_description(stage: Stage) -> dict[str, Any]:
    return {"host_config": {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": ["example.com/thing=one"]}]}}


def folder_of_devices(stage: Stage) -> dict[str, Any]:
    folder = stage.folder("devices")
    os.mknod(folder / "disk", stat.S_IFBLK | 0o600, stage.disk.stat().st_rdev)
    device = {"PathOnHost": str(folder), "PathInContainer": "/devices", "CgroupPermissions": "r"}
    return {"host_config": {"Devices": [device]}}


def loop_on_the_disk(stage: Stage) -> dict[str, Any]:
    command = ["losetup", "--find", "--show", "--read-only", str(stage.disk)]
    loop = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    held = os.open(loop, os.O_RDONLY)
    stage.stack.callback(os.close, held)
    subprocess.run(
        ["losetup", "--detach", loop], check=True
    )  # as soon as this process closes it, or is killed
    device = {"PathOnHost": loop, "PathInContainer": "/devices/disk", "CgroupPermissions": "r"}
    return {"host_config": {"Devices": [device]}}


def reads_the_disk(_: Stage) -> str:
    return "busybox dd if=/devices/disk of=/dev/null bs=4096 count=1"


SECOND = "/d/api.sock"
ATTACKS = (
    Attack("second-socket", lambda stage: bind(second(stage)), is_socket(SECOND), (SOCKET,)),
    Attack("hard-link", hard_link, is_socket("/d/deep/er/harmless"), (SOCKET,)),
    Attack("renamed-socket", renamed, is_socket("/d/app.sock", "third"), (SOCKET,)),
    Attack("unlinked-socket", unlinked, is_socket("/d.sock", "fourth"), (SOCKET,)),
    Attack(
        "reads-processes",
        lambda _: {"host_config": {"PidMode": "host", "CapAdd": ["SYS_PTRACE"]}},
        process_reality,
        (SOCKET,),
    ),
    Attack("sees-processes", lambda _: {"host_config": {"PidMode": "host"}}, process_reality, (), open=False),
    Attack(
        "entered-the-host",
        entered,
        sleeps_outside,
        (SOCKET, SENSITIVE, KERNEL, CGROUPS),
        stopped=(SOCKET, KERNEL, CGROUPS),
    ),
    Attack("in-a-jail", chrooted, is_socket(SECOND), (SOCKET,)),
    Attack(
        "in-a-mounted-jail",
        lambda stage: chrooted(stage, Tmpfs={"/jail": "exec"}),
        is_socket(SECOND),
        (SOCKET,),
    ),
    Attack(
        "jailed-with-all-paths",
        lambda stage: {
            **chrooted(stage, MaskedPaths=[], ReadonlyPaths=[]),
        },
        writes_core_pattern("/proc/sys/kernel"),
        (SOCKET, KERNEL),
    ),
    Attack(
        "vertical-tab", lambda stage: bind(second(stage), "/d\x0bx"), is_socket("/d\x0bx/api.sock"), (SOCKET,)
    ),
    Attack(
        "line-separator",
        lambda stage: bind(second(stage), "/d\u2028x\x85"),
        is_socket("/d\u2028x\x85/api.sock"),
        (SOCKET,),
    ),
    Attack(
        "newline", lambda stage: bind(second(stage), "/d e\nf\\"), is_socket("/d e\nf\\/api.sock"), (SOCKET,)
    ),
    Attack(
        "through-a-link",
        through_the_images_link,
        lambda _: f"[ $(busybox stat -c %i /real) = {USR_BIN.stat().st_ino} ]",
        (SENSITIVE,),
    ),
    Attack(
        "volume-through-a-link",
        volume_through_the_images_link,
        lambda _: f"[ $(busybox stat -c %i /real) = {USR_BIN.stat().st_ino} ]",
        (),
        open=False,
    ),
    Attack("debugfs", of_the_kernel("debugfs"), is_kernels("debugfs"), (SENSITIVE,)),
    Attack("securityfs", of_the_kernel("securityfs"), is_kernels("securityfs"), (SENSITIVE,)),
    Attack("devtmpfs", of_the_kernel("devtmpfs"), is_kernels("devtmpfs"), (SENSITIVE,)),
    Attack(
        "procfs",
        of_the_kernel("proc"),
        writes_core_pattern("/d/sys/kernel"),
        (SENSITIVE, KERNEL),
        stopped=(SENSITIVE,),
    ),
    Attack(
        "cgroupfs",
        of_the_kernel("cgroup", "memory"),
        is_kernels("cgroup", "memory"),
        (SENSITIVE, CGROUPS),
        stopped=(SENSITIVE,),
    ),
    Attack(
        "part-of-proc",
        lambda _: bind("/proc/sys/kernel"),
        writes_core_pattern("/d"),
        (SENSITIVE, KERNEL),
        stopped=(SENSITIVE,),
    ),
    Attack(
        "remounted",
        lambda _: shell(
            "busybox mount -o bind /proc/sys/kernel /proc/sys/kernel; "
            "busybox mount -o remount,rw,bind /proc/sys/kernel",
            CapAdd=["SYS_ADMIN"],
        ),
        writes_core_pattern("/proc/sys/kernel"),
        (KERNEL,),
        stopped=(),
    ),
    Attack(
        "another-proc",
        lambda _: shell("mkdir /p; busybox mount -t proc proc /p", CapAdd=["SYS_ADMIN"]),
        writes_core_pattern("/p/sys/kernel"),
        (KERNEL,),
        stopped=(),
    ),
    Attack("nested-in-volume", nested_in_a_volume, is_socket("/d/sub/api.sock"), (SOCKET,)),
    Attack("linked-volume", volume_that_is_a_link, is_socket(SECOND), (SOCKET,)),
    Attack("part-of-volume", part_of_a_volume, is_socket(SECOND), (), open=False),
    Attack("slash-volume", link_with_a_slash, is_socket(SECOND), (SOCKET,)),
    Attack("appended-layers", appended_layers, lambda _: "[ -e /d/dpkg ]", (SENSITIVE,)),
    Attack("filled-later", filled_later, is_socket("/d/api/api.sock"), (SOCKET,), stopped=()),
    Attack(
        "from-another",
        lambda _: {"host_config": {"VolumesFrom": ["second-socket"]}},
        is_socket(SECOND),
        (SOCKET,),
    ),
    Attack(
        "above-a-tmpfs",
        lambda stage: {"host_config": {**bind(second(stage), "/d/in")["host_config"], "Tmpfs": {"/d": ""}}},
        is_socket("/d/in/api.sock"),
        (SOCKET,),
    ),
    Attack("relay", relay, is_socket("/d/app.sock", "relay"), (SOCKET,)),
    Attack("abstract-relay", abstract_relay, sees_abstract, (SOCKET,)),
    Attack(
        "not-in-that-network",
        lambda _: {"host_config": {"NetworkMode": "none"}},
        sees_abstract,
        (),
        open=False,
    ),
    Attack("another-runtime", of_another_runtime, is_socket(SECOND, "podman"), (SOCKET,)),
    Attack("description", by_a_description, is_socket("/dev/thing/api.sock", "ram"), (SOCKET,), stopped=()),
    Attack("device-folder", folder_of_devices, reads_the_disk, (SENSITIVE,)),
    Attack("loop-on-disk", loop_on_the_disk, reads_the_disk, (SENSITIVE,)),
)
_EXTRA = ("second", "third", "fourth", "ram")


def _disk(engine: Dockerd) -> Path:
    """A disk of its own for the data root: not every machine lets anybody read its own."""
    image = engine.root / "disk.img"
    with image.open("wb") as file:
        file.truncate(512 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    engine.data_root.mkdir()
    subprocess.run(["mount", "-o", "loop", image, engine.data_root], check=True)
    command = ["losetup", "--associated", str(image), "--noheadings", "--output=NAME"]
    return Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


@dataclass(frozen=True)
class Seen:
    """What the attacks reach, and the snapshots before and after their start."""

    before: Snapshot
    after: Snapshot
    open: dict[str, bool]
    refused: dict[str, str]


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    """All attacks on one engine."""
    flags = [f"--host=unix://{{root}}/{name}/api.sock" for name in _EXTRA]
    engine = Dockerd(flags=flags, config={"features": {"cdi": True}})
    with ExitStack() as stack:
        stack.callback(engine.close)
        for name in _EXTRA:
            (engine.root / name).mkdir()
        stage = Stage(engine, stack, _disk(engine))
        stage.mount("-t", "tmpfs", "tmpfs", engine.root / "ram")
        descriptions = stage.folder("cdi")
        mount = {
            "hostPath": str(engine.root / "ram"),
            "containerPath": "/dev/thing",
            "options": ["rbind", "rw"],
        }
        device = {"name": "one", "containerEdits": {"mounts": [mount]}}
        told = {"cdiVersion": "0.5.0", "kind": "example.com/thing", "devices": [device]}
        (descriptions / "thing.json").write_text(json.dumps(told))
        engine.configure({"features": {"cdi": True}, "cdi-spec-dirs": [str(descriptions)]})
        engine.start()
        engine.ensure_image()
        stage.inodes |= {name: _identity(engine.root / name / "api.sock") for name in _EXTRA}
        refused: dict[str, str] = {}
        created: dict[str, str] = {}
        for attack in ATTACKS:
            try:
                request = attack.request(stage)
                # With version 1 of cgroups, the host's is the default.
                request["host_config"] = {"CgroupnsMode": "private", **request["host_config"]}
                created[attack.name] = engine.create(attack.name, **request)
            except (EngineError, subprocess.CalledProcessError) as error:
                refused[attack.name] = f"{error} {getattr(error, 'stderr', '')}"
        before = collect(engine)
        for name, identity in created.items():
            try:
                engine.api("POST", f"/containers/{identity}/start")
            except EngineError as error:
                refused[name] = str(error)
        for change in stage.late:
            change()
        reached = {
            attack.name: _tried(engine, attack, stage) for attack in ATTACKS if attack.name not in refused
        }
        yield Seen(before, collect(engine), reached, refused)


def _tried(engine: Dockerd, attack: Attack, stage: Stage) -> bool:
    command = ["docker", "--host", engine.host, "exec", attack.name, "sh", "-c", attack.reality(stage)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_containers_fail_exactly_the_controls_that_their_access_to_the_host_breaks(
    seen: Seen, attack: Attack
) -> None:
    assert attack.name not in seen.refused, seen.refused[attack.name]
    assert seen.open[attack.name] is attack.open
    assert {slug for slug in JUDGED if attack.name in named(judge(slug, seen.after))} == {*attack.breaks}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_stopped_containers_fail_the_controls_that_their_access_to_the_host_will_break(
    seen: Seen, attack: Attack
) -> None:
    breaks = attack.breaks if attack.stopped is None else attack.stopped
    assert {slug for slug in JUDGED if attack.name in named(judge(slug, seen.before))} == {*breaks}
