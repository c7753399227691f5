"""Random owners, modes, ACLs and links of the engine's files: what users can really do, and what is judged.

Each case is a tree of its own. Users other than root open, connect to, run, chmod and rename there; the
collector reads the tree as the root of a host, and the judges of section 3 say what is wrong with it.
"""

from __future__ import annotations

import ctypes
import functools
import os
import pickle
import random
import shutil
import socket
import stat
import struct
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.docker.engine import Engine
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import filestat, paths

from hardener.checks import all_checks
from hardener.snapshot import Snapshot
from tests.unit.snapshots import make, only

FOLDERS = (
    "/etc",
    "/etc/docker",
    "/etc/docker/certs.d",
    "/etc/docker/certs.d/registry:5000",
    "/etc/default",
    "/etc/sysconfig",
    "/etc/systemd/system/docker.service.d",
    "/usr/lib/systemd/system",
    "/srv",
    "/srv/conf",
    "/run",
    "/run/containerd",
)
SERVICE, UNIT_SOCKET = "/usr/lib/systemd/system/docker.service", "/usr/lib/systemd/system/docker.socket"
DROP_IN = "/etc/systemd/system/docker.service.d/site.conf"
API, CONTAINERD = "/run/docker.sock", "/run/containerd/containerd.sock"
# What each pair of controls is about, and the widest mode that it allows.
FILES: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "docker-service": (0o644, (SERVICE, DROP_IN, "/etc/default/docker")),
    "docker-socket-unit": (0o644, (UNIT_SOCKET,)),
    "registry-cert": (
        0o444,
        ("/etc/docker/certs.d/registry:5000/ca.crt", "/etc/docker/certs.d/registry:5000/client.key"),
    ),
    "tls-ca": (0o444, ("/srv/conf/ca.pem",)),
    "tls-cert": (0o444, ("/srv/conf/cert.pem",)),
    "tls-key": (0o400, ("/srv/conf/key.pem",)),
    "daemon-json": (0o644, ("/etc/docker/daemon.json", "/srv/conf/daemon.json")),
    "etc-default-docker": (0o644, ("/etc/default/docker",)),
    "etc-sysconfig-docker": (0o644, ("/etc/sysconfig/docker",)),
    "docker-sock": (0o1660, (API,)),
    "containerd-sock": (0o660, (CONTAINERD,)),
}
FOLDERS_JUDGED: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "docker-service": (0o755, ("/etc/systemd/system/docker.service.d", "/etc/systemd/system")),
    "docker-socket-unit": (0o755, ("/etc/systemd/system",)),
    "etc-docker": (0o755, ("/etc/docker", "/etc", "/")),
}
# Users by what may make them more than others: an id that owns files, a group, an entry of an ACL.
USERS: Mapping[str, tuple[int, int]] = {
    "owner": (1001, 1001),
    "member": (3001, 1002),
    "docker": (3002, 999),
    "admin": (3006, 998),
    "named": (2001, 2001),
    "named group": (3003, 2002),
    "root group": (3005, 0),
    "other": (3004, 3004),
    "root without privileges": (0, 0),
}
_ACL = "system.posix_acl_access"
_LIBC = ctypes.CDLL(None, use_errno=True)
_CAPSET = 126  # of x86-64; 91 elsewhere
_MOST_LINKS = 40


@dataclass(frozen=True)
class Observed:
    """One tree: what the collector read, and what users could do."""

    name: str
    log: list[str]
    records: dict[str, Any]
    config: str
    group: str
    granted: dict[str, dict[str, str]]  # path -> user -> letters of rwx, and c where it may chmod
    status: dict[str, tuple[int, int, int, bool]]  # path -> uid, gid, mode, whether it has an ACL
    exchanged: dict[str, list[str]]  # path -> who can rename what on the way, were the user there
    listed: set[str]  # paths on whose way an ACL is
    reached: list[str]  # what users could take over by the path


@dataclass
class Tree:
    """A tree that a case builds below a folder."""

    base: Path
    dice: random.Random
    log: list[str] = field(default_factory=list)
    moved: int = 0

    def build(self) -> None:
        """Make a tree as it should be, then disturb it."""
        self.config = self.dice.choice(FILES["daemon-json"][1])
        self.group = self.dice.choice(("docker", "docker", "admins", "998"))
        self.base.mkdir()
        for folder in FOLDERS:
            self.at(folder).mkdir(parents=True, exist_ok=True)
        modes = {path: mode & 0o777 for mode, some in FILES.values() for path in some}
        for path, mode in modes.items():
            if stat.S_ISSOCK(_kind(path)):
                with socket.socket(socket.AF_UNIX) as made:
                    made.bind(str(self.at(path)))
            else:
                self.at(path).write_text("")
            self.at(path).chmod(mode)
        self.at("/etc/group").write_text("root:x:0:\ndocker:x:999:\nadmins:x:998:\n")
        os.chown(self.at(API), 0, self.dice.choice((0, *[999 if self.group == "docker" else 998] * 3)))
        self.nodes = [*modes, *modes, *FOLDERS, "/etc/systemd/system", "/"] + [API, CONTAINERD] * 3
        for _ in range(self.dice.choice((1, 1, 1, 2, 3, 5))):
            node = self.dice.choice(self.nodes)
            step = self.dice.choice((self._mode, self._mode, self._own, self._own, self._acl, self._link))
            step(node)

    def at(self, path: str) -> Path:
        """Where a path of the tree is."""
        return Path(f"{self.base}{path}")

    def _real(self, path: str) -> Path:
        """Where what has a path really is: its links are those of the tree's own root."""
        folder, name = list(_way(self.base, path))[-1] if path != "/" else ("", "")
        return self.at(f"{folder.rstrip('/')}/{name}")

    def _say(self, what: str) -> None:
        self.log.append(what)

    def _mode(self, node: str) -> None:
        before = stat.S_IMODE(self._real(node).stat().st_mode)
        dice = self.dice
        mode = dice.choice((before ^ 1 << dice.randrange(12), before ^ 1 << dice.randrange(9), 0o777, 0o1777))
        mode = dice.choice((mode, mode, dice.randrange(0o1000)))
        self._real(node).chmod(mode)
        self._say(f"chmod {mode:04o} {node}")

    def _own(self, node: str) -> None:
        user, group = self.dice.choice((0, 0, 1001, 2001)), self.dice.choice((0, 0, 1002, 999, 998, 2002))
        mode = stat.S_IMODE(self._real(node).stat().st_mode)
        os.chown(self._real(node), user, group)
        self._real(node).chmod(mode)
        self._say(f"chown {user}:{group} {node}")

    def _acl(self, node: str) -> None:
        mode = self._real(node).stat().st_mode
        dice = self.dice
        entries = [(0x01, mode >> 6 & 7, -1), (0x04, mode >> 3 & 7, -1), (0x20, mode & 7, -1)]
        entries += [(0x02, dice.randrange(8), 2001)] if dice.random() < 0.7 else []
        entries += [(0x08, dice.randrange(8), 2002)] if dice.random() < 0.5 else []
        entries.append((0x10, dice.choice((0o7, 0o6, mode >> 3 & 7, dice.randrange(8))), -1))
        packed = b"".join(
            struct.pack("<HHI", tag, perms, number & 0xFFFFFFFF) for tag, perms, number in sorted(entries)
        )
        os.setxattr(self._real(node), _ACL, struct.pack("<I", 2) + packed)
        self._say(f"setfacl {sorted(entries)} {node}")

    def _link(self, node: str) -> None:
        """Move something to a folder of its own and put a link in its place."""
        if node in {"/", "/etc", "/srv"}:
            return
        name = Path(node).name
        above = self._real(str(Path(node).parent))
        here = above / name
        if here.is_symlink() or any(each.is_symlink() for each in here.rglob("*")):
            return  # a relative link would lead elsewhere from another folder
        self.moved += 1
        place = self.dice.choice((f"/srv/moved{self.moved}", f"/moved{self.moved}/inner"))
        self.at(place).mkdir(parents=True)
        here.rename(self.at(f"{place}/{name}"))
        target = f"{place}/{name}"
        if self.dice.random() < 0.3:
            target = f"{place}/second"
            self.at(target).symlink_to(name)
        inside = str(above).removeprefix(str(self.base)) or "/"
        here.symlink_to(self.dice.choice((target, os.path.relpath(target, inside))))
        os.chown(here, self.dice.choice((0, 0, 1001)), 0, follow_symlinks=False)
        self._say(f"moved {node} to {place}, and linked it to {here.readlink()}")
        if self.dice.random() < 0.6:
            self.dice.choice((self._mode, self._own))(self.dice.choice((place, str(Path(place).parent))))


def observe(seed: int, number: int, stage: Path) -> Observed:
    """Build a tree below a folder, and look at it from all sides."""
    _units()
    tree = Tree(stage / f"tree{number}", random.Random(f"{seed} {number}"))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            os.umask(0o022)
            tree.build()
            with os.fdopen(writer, "wb") as pipe:
                pickle.dump(_look(tree), pipe)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    assert os.waitpid(child, 0)[1] == 0, f"tree {number} of seed {seed}: {tree.log}"
    shutil.rmtree(tree.base)
    found: Observed = pickle.loads(data)
    return found


def _look(tree: Tree) -> Observed:
    """What users can do in a tree, and how the collector sees it; the process is inside afterwards."""
    some = {*(path for _, files in FILES.values() for path in files)}
    some |= {path for _, folders in FOLDERS_JUDGED.values() for path in folders}
    ways = {path: list(_way(tree.base, path)) for path in some}
    there = {path: f"{folder}/{name}" for path, way in ways.items() if way for folder, name in way[-1:]}
    there["/"] = "/"
    status, granted = {}, {}
    for path, place in there.items():
        info = tree.at(place).stat()
        has_acl = _has_acl(tree.at(place))
        status[path] = (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode), has_acl)
        granted[path] = _granted(tree.at(place))
    steps = {step: _renames(tree.at(step[0]), step[1]) for way in ways.values() for step in way}
    exchanged = {
        path: [f"{user} in {folder}" for folder, name in way for user in steps[folder, name]]
        for path, way in ways.items()
    }
    listed = {path for path, way in ways.items() if any(_has_acl(tree.at(folder)) for folder, _ in way)}
    name = tree.base.name
    os.chroot(tree.base)
    os.chdir("/")
    files = filestat.Files()
    paths.look(files, _engine(tree.config), units=_units(), root="", containerd_socket=CONTAINERD, devices=[])
    reached = list(_reached(ways, tree.config))
    return Observed(
        name, tree.log, files.records, tree.config, tree.group, granted, status, exchanged, listed, reached
    )


def _way(base: Path, path: str) -> Iterator[tuple[str, str]]:
    """Each folder and name that is looked up on the way to a path, links followed."""
    folder, names, links = "", path.strip("/").split("/"), 0
    names = [name for name in names if name]
    while names:
        name = names.pop(0)
        if name == "..":
            folder = folder.rpartition("/")[0]
            continue
        yield folder or "/", name
        here = Path(f"{base}{folder}/{name}")
        if here.is_symlink() and links < _MOST_LINKS:
            links += 1
            target = str(here.readlink())
            folder = "" if target.startswith("/") else folder
            names = [part for part in target.split("/") if part] + names
        else:
            folder = f"{folder}/{name}"


def _has_acl(path: Path) -> bool:
    with suppress(OSError):
        return bool(filestat.parse_acl(os.getxattr(path, _ACL)))
    return False


@contextmanager
def acting(user: str) -> Iterator[None]:
    """Be a user for a while; root gives up its privileges."""
    uid, gid = USERS[user]
    os.setgroups([])
    os.setegid(gid)
    if uid:
        os.seteuid(uid)
    else:
        _privileges(on=False)
    try:
        yield
    finally:
        if uid:
            os.seteuid(0)
        else:
            _privileges(on=True)
        os.setegid(0)


def _privileges(*, on: bool) -> None:
    header = struct.pack("<Ii", 0x20080522, 0)
    before = ctypes.create_string_buffer(24)
    if _LIBC.capget(header, before):
        raise OSError(ctypes.get_errno(), "capget")
    low, high = struct.unpack_from("<3I3I", before)[1], struct.unpack_from("<3I3I", before)[4]
    wanted = struct.pack("<3I3I", low if on else 0, low, 0, high if on else 0, high, 0)
    if _LIBC.capset(header, wanted):
        raise OSError(ctypes.get_errno(), "capset")


def _granted(path: Path) -> dict[str, str]:
    """What each user gets of a file that it has a handle of: no folder is in the way."""
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    here = Path(f"/proc/self/fd/{handle}")
    info = os.fstat(handle)
    found = {}
    try:
        for user in USERS:
            with acting(user):
                letters = "r" if _opens(here, os.O_RDONLY, info) else ""
                letters += "w" if _opens(here, os.O_WRONLY, info) else ""
                letters += "x" if os.access(here, os.X_OK, effective_ids=True) else ""
                with suppress(PermissionError):
                    here.chmod(stat.S_IMODE(info.st_mode))
                    letters += "c"
            here.chmod(stat.S_IMODE(info.st_mode))  # a user's chmod may take bits away
            found[user] = letters
    finally:
        os.close(handle)
    return found


def _opens(path: Path, how: int, info: os.stat_result) -> bool:
    """Whether a file can be opened; a socket connected to, a folder changed."""
    if stat.S_ISSOCK(info.st_mode) and how == os.O_WRONLY:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(path))
            except ConnectionRefusedError:  # it may, and nothing listens
                return True
            except PermissionError:
                return False
        return True
    if not stat.S_ISREG(info.st_mode):
        return os.access(path, os.R_OK if how == os.O_RDONLY else os.W_OK, effective_ids=True)
    try:
        os.close(os.open(path, how))
    except PermissionError:
        return False
    return True


def _renames(folder: Path, name: str) -> list[str]:
    """The users that can rename an entry of a folder, after a chmod of the folder where it is theirs."""
    handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    here = Path(f"/proc/self/fd/{handle}")
    mode = stat.S_IMODE(os.fstat(handle).st_mode)
    found = []
    try:
        for user, (uid, _) in USERS.items():
            if not uid:
                continue
            with acting(user):
                with suppress(PermissionError):
                    here.chmod(mode | 0o300)
                renamed = _rename_there_and_back(handle, name)
            here.chmod(mode)
            if renamed:
                found.append(user)
    finally:
        os.close(handle)
    return found


def _rename_there_and_back(folder: int, name: str) -> bool:
    try:
        os.rename(name, f"{name}.away", src_dir_fd=folder, dst_dir_fd=folder)
    except PermissionError:
        return False
    os.rename(f"{name}.away", name, src_dir_fd=folder, dst_dir_fd=folder)
    return True


def _reached(ways: Mapping[str, Sequence[tuple[str, str]]], config: str) -> Iterator[str]:
    """What users can take over by the path: what stands there, or what has a name on the way."""
    unused = set(FILES["daemon-json"][1]) - {config}
    ways = {path: way for path, way in ways.items() if path not in unused}
    for user, (uid, _) in USERS.items():
        if not uid:
            continue
        with acting(user):
            for path in ways.keys() & {path for _, files in FILES.values() for path in files}:
                if stat.S_ISSOCK(_kind(path)):
                    continue
                with suppress(PermissionError):
                    os.close(os.open(path, os.O_WRONLY))
                    yield f"{user} can write {path}"
            for folder, name in {step for way in ways.values() for step in way}:
                here = f"{folder.rstrip('/')}/{name}"
                with suppress(PermissionError):
                    Path(here).rename(f"{here}.away")
                    Path(f"{here}.away").rename(here)
                    yield f"{user} can exchange {here}"


def _kind(path: str) -> int:
    return stat.S_IFSOCK if path.endswith(".sock") else stat.S_IFREG


def _engine(config: str) -> Engine:
    engine = Engine()
    engine.flags = _flags(config)
    engine.config = {"path": config, "parsed": {}}
    return engine


def _flags(config: str) -> dict[str, list[str]]:
    tls = {f"tls{name}": [f"/srv/conf/{name.removeprefix('ca')}.pem"] for name in ("cert", "key")}
    return {
        "config-file": [config],
        "host": [f"unix://{API}"],
        "tlsverify": ["true"],
        "tlscacert": ["/srv/conf/ca.pem"],
        **tls,
    }


@functools.cache  # what it is made from is out of reach inside of a tree
def _units() -> dict[str, dict[str, Any]]:
    base = make().fact("units")
    service = {**base["docker.service"], "FragmentPath": SERVICE, "DropInPaths": [DROP_IN]}
    return {
        "docker.service": service,
        "docker.socket": {**base["docker.socket"], "FragmentPath": UNIT_SOCKET},
    }


def snapshot(seen: Observed) -> Snapshot:
    """The host of a case."""
    flags = _flags(seen.config) | {"group": [seen.group]}
    return make(
        files=only(seen.records),
        units=only(_units()),
        engine={"socket": API, "containerd_socket": CONTAINERD},
        **{"daemon.config": {"path": seen.config, "flags": only(flags)}},
    )


def disagreements(seen: Observed) -> list[str]:
    """What the judges say otherwise than the users' tries show."""
    host = snapshot(seen)
    judges = all_checks()
    found, anything = [], False
    for name, allowed, path, folder in _judged(seen):
        for kind in ("mode", "owner"):
            verdict = judges[f"file-{name}-{kind}"](host)
            named = {offender.name: offender.detail for offender in verdict.offenders}
            anything |= bool(named)
            must, may = _expected(seen, name, kind, allowed, path, folder=folder)
            if (path in named and not (must or may)) or (must and path not in named):
                wrong = f"{named[path]}, and {seen.granted[path]}" if path in named else f"passes: {must}"
                found.append(f"file-{name}-{kind} {path}: {wrong}")
    if seen.reached and not anything:
        found.append(f"all pass, and {seen.reached}")
    return [f"{seen.name}: {text}\n  " + "\n  ".join(seen.log) for text in found]


def _judged(seen: Observed) -> Iterator[tuple[str, int, str, bool]]:
    """Each control with the widest mode, a path that it is about, and whether that is a folder."""
    for name, (allowed, files) in FILES.items():
        for path in files:
            if name != "daemon-json" or path == seen.config:
                yield name, allowed, path, False
    for name, (allowed, folders) in FOLDERS_JUDGED.items():
        for path in folders:
            # Where the configuration folder is reached by a link, those above its target count as well.
            if path not in {"/etc", "/"} or seen.records["/etc/docker"]["target"] is None:
                yield name, allowed, path, True


def _expected(
    seen: Observed, name: str, kind: str, allowed: int, path: str, *, folder: bool
) -> tuple[str, str]:
    """Why a verdict has to name a path, and why it may without a try that shows it."""
    uid, gid, mode, has_acl = seen.status[path]
    tries = seen.granted[path]
    if kind == "owner":
        owners = [user for user, letters in tries.items() if "c" in letters and USERS[user][0]]
        tight = gid == 0 or (name == "docker-sock" and gid == {"docker": 999}.get(seen.group, 998))
        return (f"{owners} can chmod it" if owners else "" if tight else f"group {gid}"), ""
    excess = [
        f"{user}: {letters}"
        for user, letters in tries.items()
        if _more(letters, _class(user, uid, gid), allowed)
    ]
    must = excess + seen.exchanged[path]
    may = [f"mode {mode:04o}"] if mode & 0o7000 & ~allowed else []
    may += ["an ACL is wider than its entries"] if has_acl and mode >> 3 & 7 & ~(allowed >> 3) else []
    may += ["a folder on the way has an ACL"] if path in seen.listed else []
    named = {each["id"] for each in (seen.records.get(path) or {}).get("acl") or () if each["tag"] == "user"}
    may += ["an ACL names the owner"] if uid in named else []
    return "; ".join(must), "; ".join(may)


def _class(user: str, uid: int, gid: int) -> int:
    """How far the bits of a user's class are shifted in the mode."""
    own, group = USERS[user]
    if own == uid:
        return 6
    return 3 if group == gid else 0


def _more(letters: str, shift: int, allowed: int) -> bool:
    bits = sum(bit for letter, bit in (("r", 4), ("w", 2), ("x", 1)) if letter in letters)
    return bool(bits & ~(allowed >> shift & 7))
