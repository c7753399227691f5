"""Random options of containers: what the kernel grants their processes, and what section 5 says of them."""

from __future__ import annotations

import math
import os
import random
import re
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hardener.snapshot import Snapshot
from tests.integration.collecting import collect, judge, named
from tests.integration.dockerd import Dockerd, EngineError
from tests.integration.waiting import until

_TOGETHER = 10  # containers of a case
_NEIGHBOUR = "neighbour"  # in the default bridge, and with the host's IPC
_NOFILE = 2048  # the engine's default
_PROCESSORS = os.cpu_count() or 1
_ADDRESSES = ("127.0.0.1", "192.0.2.7", "::1", "2001:db8::7")  # of the host, two of each version
_DEFAULT_CAPABILITIES, _NET_RAW = 0xA80425FB, 1 << 13
_DEVICES = frozenset({"stdin", "stdout", "stderr"}).union(
    (
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "console",
        "ptmx",
        "pts",
        "shm",
        "mqueue",
        "fd",
        "core",
    )
)
_BASE: Mapping[str, Any] = {
    "CapDrop": ["ALL"],
    "CgroupnsMode": "private",
    "Memory": 16 << 20,
    "NanoCpus": 500_000_000,
    "NetworkMode": "app",
    "PidsLimit": 64,
    "ReadonlyRootfs": True,
    "SecurityOpt": ["no-new-privileges"],
}
_OPTIONS: Mapping[str, tuple[Any, ...]] = {
    "Privileged": (True, False),
    "CapAdd": (["ALL"], ["NET_RAW"], ["cap_net_raw"], ["SYS_ADMIN"], ["chown", "CAP_KILL"]),
    "CapDrop": ([], ["NET_RAW"], ["cap_net_raw"], ["all"]),
    "SecurityOpt": ([], ["no-new-privileges:false"], ["no-new-privileges=true"], ["no-new-privileges=0"]),
    "NetworkMode": ("bridge", "default", "", "host", "host", "none", f"container:{_NEIGHBOUR}"),
    "PidMode": ("host", f"container:{_NEIGHBOUR}"),
    "IpcMode": ("host", "shareable", "none", f"container:{_NEIGHBOUR}"),
    "UTSMode": ("host",),
    "CgroupnsMode": ("host",),
    "Memory": (0, 1 << 45),
    "NanoCpus": (0, _PROCESSORS * 1_000_000_000),
    "CpuShares": (2, 512, 1024),
    "CpusetCpus": ("0", f"0-{_PROCESSORS - 1}"),
    "PidsLimit": (None, 0, -1, 5000, 1 << 21),
    "ReadonlyRootfs": (False,),
    "MaskedPaths": ([], ["/proc/keys"]),
    "ReadonlyPaths": ([], ["/proc/sys"]),
    "Devices": tuple(
        [{"PathOnHost": path, "PathInContainer": f"/dev/{name}", "CgroupPermissions": "r"}]
        for path, name in (("/dev/null", "x"), ("/dev/zero", "kmsg"))
    ),
    "Mounts": ("rprivate", "rslave", "shared", "rshared"),
    "Ulimits": tuple(
        [{"Name": "nofile", "Soft": 64, "Hard": hard}] for hard in (64, _NOFILE, _NOFILE + 1, 1 << 19)
    ),
    "CgroupParent": ("/elsewhere", "/docker", "docker"),
    "PortBindings": ("", "0.0.0.0", *_ADDRESSES[:2], "::", *_ADDRESSES[2:]),
}
_USERS = ("65534", "65534", "65534", "", "0", "root", "00", "nobody", "1000:0")


@dataclass(frozen=True)
class Wanted:
    """The options of a container, the port on which it listens, and its port of the host."""

    host_config: dict[str, Any]
    user: str
    inner: int
    port: int


@dataclass(frozen=True)
class Observed:
    """Containers by name, whether each breaks a control, and the snapshots before and after their start."""

    wanted: dict[str, Wanted]
    broken: dict[str, dict[str, bool]]
    before: Any
    after: Any


def observed(seed: int, cases: int) -> Iterator[Observed]:
    """Containers with random options on one engine, some at a time."""
    for address in (f"{_ADDRESSES[1]}/32", f"{_ADDRESSES[3]}/128"):
        subprocess.run(["ip", "address", "replace", address, "dev", "lo"], check=True)
    default = {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": _NOFILE}}
    with Dockerd(config={"default-ulimits": default}) as engine:
        engine.ensure_image()
        shared = engine.root / "shared"
        shared.mkdir()
        subprocess.run(["mount", "--bind", shared, shared], check=True)
        subprocess.run(["mount", "--make-shared", shared], check=True)
        engine.api("POST", "/networks/create", {"Name": "app"})
        for number in range(0, cases, _TOGETHER):
            yield _observe(engine, random.Random(f"{seed} {number}"), str(shared))


def _observe(engine: Dockerd, dice: random.Random, shared: str) -> Observed:
    engine.remove_containers()
    usual = _inspect(
        engine, engine.run(_NEIGHBOUR, host_config={"IpcMode": "host", "NetworkMode": "bridge"})
    )["HostConfig"]
    wanted = {f"c{index}": _wanted(dice, 20_000 + index, 600 + index, shared) for index in range(_TOGETHER)}
    meant = [f"{name}:{each.port}" for name, each in wanted.items() if dice.random() < 0.3]
    created = {}
    for name, each in wanted.items():
        command = ["httpd", "-f", "-p", f"{dice.choice(('', '0.0.0.0:'))}{each.inner}"]
        with suppress(EngineError):  # some options exclude each other
            exposed: dict[str, dict[str, str]] = {f"{each.inner}/tcp": {}}
            created[name] = engine.create(
                name, command=command, host_config=each.host_config, User=each.user, ExposedPorts=exposed
            )
    before = collect(engine, policy={"published_ports": meant}).raw
    pids = {}
    for name, identity in created.items():
        with suppress(EngineError):
            engine.api("POST", f"/containers/{identity}/start")
            pids[name] = _inspect(engine, identity)["State"]["Pid"]
    broken = {
        name: _broken(pid, usual, wanted[name])
        | _ports(pid, wanted[name], f"{name}:{wanted[name].port}" in meant)
        for name, pid in pids.items()
    }
    return Observed(wanted, broken, before, collect(engine, policy={"published_ports": meant}).raw)


def _inspect(engine: Dockerd, identity: str) -> Any:
    return engine.api("GET", f"/containers/{identity}/json")


def _wanted(dice: random.Random, inner: int, low: int, shared: str) -> Wanted:
    chosen = {key: dice.choice(_OPTIONS[key]) for key in dice.sample(list(_OPTIONS), dice.randrange(6))}
    config = {**_BASE, **chosen}
    if mode := chosen.get("Mounts"):
        mount = {"Type": "bind", "Source": shared, "Target": "/host", "BindOptions": {"Propagation": mode}}
        config["Mounts"] = [mount]
    port = dice.choice((inner, low))
    if "PortBindings" in chosen:
        binding = {"HostIp": chosen["PortBindings"], "HostPort": str(port)}
        config["PortBindings"] = {f"{inner}/tcp": [binding]}
    return Wanted(config, dice.choice(_USERS), inner, inner if config["NetworkMode"] == "host" else port)


def _broken(pid: int, usual: Mapping[str, Any], wanted: Wanted) -> dict[str, bool]:
    """Whether the kernel grants a process what a control refuses; ``usual`` are the engine's defaults."""
    status = dict(re.findall(r"(\w+):\t(.*)", Path(f"/proc/{pid}/status").read_text()))
    held = int(status["CapBnd"], 16) | int(status["CapEff"], 16)
    config, root = wanted.host_config, f"/proc/{pid}/root"
    asked = {str(name).upper() for name in config.get("CapAdd", ())}
    own = [name.upper() for name in config["CapDrop"]] == ["ALL"] and "ALL" not in asked
    devices = {each.name for each in Path(f"{root}/dev").iterdir()} - _DEVICES
    mounts, limits, routes = (
        Path(f"/proc/{pid}/{name}").read_text() for name in ("mountinfo", "limits", "net/route")
    )
    return {
        **{f"container-no-host-{name}": _shares(pid, name) for name in ("pid", "ipc", "uts")},
        "container-no-host-network": _shares(pid, "net"),
        "container-no-host-userns": _shares(pid, "user"),
        "container-capabilities": bool(held & ~_DEFAULT_CAPABILITIES or (held & _NET_RAW and not own)),
        "container-not-privileged": "loop-control" in devices,
        "container-no-host-devices": bool(devices),
        "container-no-new-privileges": status["NoNewPrivs"] != "1",
        "container-seccomp-enabled": status["Seccomp"] != "2",
        "image-non-root-user": status["Uid"].split()[1] == "0",
        "container-readonly-rootfs": _writes(f"{root}/probe"),
        "container-cgroups-private": _shares(pid, "cgroup")
        or any(map(_writes, Path(f"{root}/sys/fs/cgroup").glob("**/cgroup.procs"))),
        "container-kernel-paths-hidden": any(
            Path(root + path).exists() and Path(root + path).stat().st_dev in _kernels(root)
            for path in usual["MaskedPaths"]
        )
        or any(
            Path(root + path).exists() and not os.statvfs(root + path).f_flag & os.ST_RDONLY
            for path in usual["ReadonlyPaths"]
        ),
        "container-no-shared-propagation": bool(re.search(r" /host \S+ (\S+ )*?shared:", mounts)),
        "container-memory-limit": _limit(pid, "memory", "limit_in_bytes", "max") >= _memory(),
        "container-pids-limit": _limit(pid, "pids", "max", "max")
        > int(Path("/proc/sys/kernel/pid_max").read_text()) // 2,
        "container-cpu-limit": not _limits_processors(pid) or config.get("CpuShares") == 2,
        "container-ulimits": int(re.findall(r"Max open files +\d+ +(\d+)", limits)[0]) > _NOFILE,
        "container-cgroup-parent": _cgroup(pid, "pids").parent.name != "docker",
        "container-not-default-bridge": "\t010011AC\t" in routes,
    }


def _ports(pid: int, wanted: Wanted, meant: bool) -> dict[str, bool]:
    """Whether connections to the host reach a port of the process that a control refuses."""
    tables = [Path(f"/proc/{pid}/net/tcp"), Path(f"/proc/{pid}/net/tcp6")]
    assert until(lambda: any(f":{wanted.inner:04X} " in table.read_text() for table in tables))
    is_open = wanted.host_config["NetworkMode"] == "host" or "PortBindings" in wanted.host_config
    reached = {address for address in _ADDRESSES if is_open and _connects(address, wanted.port)}
    return {
        "container-only-needed-ports": bool(reached) and not meant,
        "container-no-privileged-ports": bool(reached) and not meant and wanted.port < 1024,
        "container-bind-specific-interface": any(
            {*both} <= reached for both in (_ADDRESSES[:2], _ADDRESSES[2:])
        ),
    }


def _connects(address: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((address, port), timeout=10) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return client.recv(8) != b""
    return False


def _shares(pid: int, name: str) -> bool:
    return Path(f"/proc/{pid}/ns/{name}").readlink() == Path(f"/proc/thread-self/ns/{name}").readlink()


def _writes(path: str | Path) -> bool:
    with suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        return True
    return False


def _kernels(root: str) -> set[int]:
    return {Path(root, name).stat().st_dev for name in ("proc", "sys")}


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cgroup(pid: int, controller: str) -> Path:
    """The cgroup of a process below the root of its hierarchy."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    found = [line for line in lines if controller in line.split(":")[1].split(",")] or lines[-1:]
    return Path(found[0].split(":", 2)[2])


def _read(pid: int, controller: str, *names: str) -> str:
    """A file of a process's cgroup, which versions 1 and 2 name differently."""
    folder = str(_cgroup(pid, controller))
    places = [
        Path(f"/sys/fs/cgroup/{top}{folder}/{controller}.{name}")
        for name in names
        for top in (controller, "")
    ]
    return next(place for place in places if place.exists()).read_text().strip()


def _limit(pid: int, controller: str, *names: str) -> float:
    text = _read(pid, controller, *names)
    return math.inf if text == "max" else int(text)


def _limits_processors(pid: int) -> bool:
    quota, *period = _read(pid, "cpu", "cfs_quota_us", "max").split()
    period = period or [_read(pid, "cpu", "cfs_period_us")]
    limited = quota not in {"-1", "max"} and int(quota) / int(period[0]) < _PROCESSORS
    weighted = _read(pid, "cpu", "shares", "weight") not in {"1024", "100"}
    return limited or weighted or len(os.sched_getaffinity(pid)) < _PROCESSORS


def disagreements(seen: Observed) -> list[str]:
    """What the judges say otherwise than the kernel, before and after the start."""
    found = []
    for when, raw in (("before", seen.before), ("after", seen.after)):
        snapshot = Snapshot(raw)
        for slug in next(iter(seen.broken.values()), {}):
            verdict = judge(slug, snapshot)
            for name, broken in seen.broken.items():
                if when == "before" and slug.endswith(("ports", "interface")):
                    continue
                if (name in named(verdict)) != broken[slug]:
                    details = [each.detail for each in verdict.offenders if each.name == name]
                    found.append(f"{when} {slug}: {details or 'passes'}, not so: {seen.wanted[name]}")
    return found
