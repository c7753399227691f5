"""The host that is changed: namespaces of its own, a real engine, firewall and files."""

from __future__ import annotations

import mmap
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.host.run import PATH

from tests.faults import services, transaction, tree
from tests.faults.scopes import Scopes
from tests.faults.services import Answer, Services
from tests.faults.tree import ROOTS, STATE, Item
from tests.integration.dockerd import Dockerd
from tests.integration.namespaces import OWN_NETWORK

_STAND_INS = Path("/usr/local/sbin")
_TMPFS = ("/tmp", "/run", "/var/lib", "/usr/local/sbin", "/srv")
_SOCKET = "/run/standin.sock"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TOOLS = ("iptables", "ip6tables")
_TABLES = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "raw": ("PREROUTING", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
}
_SSH = ("127.0.0.1", 22)


@dataclass(frozen=True, slots=True)
class Saved:
    """Everything that a run can change, so that the host can be made that again."""

    files: dict[str, Item]
    rules: dict[str, str]
    settings: dict[str, str]
    active: frozenset[str]
    failed: frozenset[str]
    known: dict[str, str]
    timers: dict[str, services.Timer]
    audited: tuple[str, ...]
    config: bytes
    live: bool
    boot: str
    now: float


class Clock:
    """A monotonic clock that programs share, and that goes ahead while they sleep."""

    def __init__(self) -> None:
        self._board = mmap.mmap(-1, 8)

    @property
    def ahead(self) -> float:
        """Seconds before the machine's."""
        return float(struct.unpack("=d", self._board[:8])[0])

    @ahead.setter
    def ahead(self, seconds: float) -> None:
        self._board[:8] = struct.pack("=d", seconds)

    def install(self) -> None:
        """Have this process live by it."""
        machine, sleep = time.monotonic, time.sleep

        def ahead(seconds: Any) -> None:
            sleep(min(seconds, 0.02))
            self.ahead += max(0.0, seconds - 0.02)

        time.monotonic = lambda: machine() + self.ahead
        time.sleep = ahead


class _Dockerd(Dockerd):
    """One whose configuration is where a package has it, and need not exist there."""

    @property
    def command(self) -> list[str]:
        command = super().command
        at = command.index("--config-file")
        return [*command[:at], *command[at + 2 :]]


class Engine:
    """The host's engine: one container that survives its restarts."""

    def __init__(self) -> None:
        self.dockerd = _Dockerd(flags=("--iptables=false", "--bridge=none"))
        self.dockerd.config_file = Path(transaction.CONFIG)
        self.config = b""
        self._began = ""

    @property
    def pid(self) -> int:
        """Its process, 0 where none runs."""
        process = self.dockerd._process
        return process.pid if process is not None and process.poll() is None else 0

    def start(self) -> None:
        """Start it on what its configuration says now."""
        file = self.dockerd.config_file
        self.config = file.read_bytes() if file.exists() else b""
        self.dockerd.start()

    def stop(self) -> None:
        """End it; its container goes on."""
        self.dockerd.stop()

    @property
    def live(self) -> bool:
        """Whether its containers survive it, which a reload can change."""
        return bool(self.pid and self.dockerd.api("GET", "/info")["LiveRestoreEnabled"])

    def kill(self) -> None:
        """End it and its container, as a reboot does."""
        pid = self._container()["State"]["Pid"] if self.pid else 0
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self.dockerd.stop()
        for process in (pid,) if pid else ():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def _container(self) -> dict[str, Any]:
        found: dict[str, Any] = self.dockerd.api("GET", "/containers/web/json")
        return found

    def remember(self) -> None:
        """The container that runs now is the one that has to survive."""
        deadline = time.monotonic() + 20
        while not self._container()["State"]["Running"] and time.monotonic() < deadline:
            time.sleep(0.02)
        self._began = self._container()["State"]["StartedAt"]

    def observe(self, *, survived: bool) -> dict[str, Any]:
        """What it does."""
        if not self.pid:
            return {"engine": "does not run"}
        info = self.dockerd.api("GET", "/info")
        state = self._container()["State"]
        return {
            "no-new-privileges": "name=no-new-privileges" in info["SecurityOptions"],
            "live-restore": info["LiveRestoreEnabled"],
            "container": state["Running"] and (not survived or state["StartedAt"] == self._began),
        }


class Host:
    """A host in the namespaces of this process, which has to be alone in them.

    Args:
        bare: it has no folder and no file that the engine can do without.
    """

    def __init__(self, *, bare: bool = False) -> None:
        _mount(bare=bare)
        subprocess.run(["sh", "-ec", OWN_NETWORK], check=True)
        self.clock = Clock()
        self.engine = Engine()
        self._scopes = Scopes(Path("/run/scopes"))
        self.services = Services(self.engine, scopes=self._scopes)
        self._settings = _Settings()
        self._serve()
        left_out = transaction.BROUGHT if bare else {}
        for path, content in transaction.FILES.items() - left_out.items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(content)
        Path(transaction.KEY).chmod(0o644)
        os.chown(transaction.KEY, 1, 1)
        self._settings.load(transaction.BEFORE)
        self.services.call(["augenrules", "--load"])
        self._first = tree.read(ROOTS)
        self.engine.start()
        self.engine.dockerd.run(
            "web", host_config={"NetworkMode": "none", "RestartPolicy": {"Name": "always"}}
        )
        self.engine.remember()
        self.services.call(["systemctl", "daemon-reload"])

    def close(self) -> None:
        """End the engine."""
        self.engine.dockerd.close()
        self._scopes.close()

    def documents(self) -> list[dict[str, Any]]:
        """What the transaction is about."""
        return transaction.documents()

    def _serve(self) -> None:
        """Answer the programs that stand in, and connections to the port of ssh."""
        programs = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        programs.bind(_SOCKET)
        programs.listen(16)
        login = socket.create_server(_SSH)

        def answer() -> None:
            while True:
                connection, _ = programs.accept()
                with connection, connection.makefile("rb") as file, suppress(OSError):
                    words = file.read().decode().split("\0")
                    try:
                        said = self.services.call(words)
                    except Exception as error:
                        said = Answer(99, "", f"stand-in: {type(error).__name__}: {error}")
                    connection.sendall("\0".join(map(str, said)).encode())

        def greet() -> None:
            while True:
                connection, _ = login.accept()
                with connection, suppress(OSError):
                    connection.sendall(b"SSH-2.0-standin\r\n")

        for work in (answer, greet):
            threading.Thread(target=work, daemon=True).start()
        source = Path(__file__).with_name("standin.pl")
        for name in services.PROGRAMS:
            program = _STAND_INS / name
            shutil.copy(source, program)
            program.chmod(0o755)
            _hide_real(name)

    # --- what it is -----------------------------------------------------------------------------------------

    def observe(self, *, survived: bool = True) -> dict[str, Any]:
        """What a run is to change wholly or not at all.

        Args:
            survived: the container is to be the one that ran before.
        """
        found: dict[str, Any] = {}
        for path, item in tree.read(ROOTS).items():
            if path.startswith(f"{STATE}/") and path != f"{STATE}/ownership.json":
                continue
            if path.endswith(".wants") and not any(Path(path).iterdir()):  # systemd ignores it
                continue
            if path == "/etc/audit/audit.rules.prev":  # what augenrules keeps of its former result
                continue
            first = self._first.get(path) if path in transaction.FILES else None
            kept = first is not None and first.modified == item.modified
            found[path] = item._replace(
                modified=int(kept)
            )  # when it was written anew is another time in each run
        found.pop(str(STATE), None)
        ownership = found.pop(f"{STATE}/ownership.json", None)
        found["ownership"] = ownership.content if ownership else b""
        found |= {tool: "\n".join(_chains(text)) for tool, text in _rules().items()}
        found |= self._settings.read()
        found["audit"] = tuple(self.services.rules)
        found["active"] = frozenset(self.services.active)
        found["failed"] = frozenset(self.services.failed)
        found["stale"] = frozenset(self.services.stale)
        return found | self.engine.observe(survived=survived)

    def save(self) -> Saved:
        """What it is now."""
        return Saved(
            files=tree.read(ROOTS),
            rules=_rules(),
            settings=self._settings.read(),
            active=frozenset(self.services.active),
            failed=frozenset(self.services.failed),
            known=dict(self.services.known),
            timers=dict(self.services.timers),
            audited=tuple(self.services.rules),
            config=self.engine.config,
            live=self.engine.live,
            boot=_BOOT_ID.read_text(),
            now=time.monotonic() + self.clock.ahead,
        )

    def restore(self, saved: Saved, *, up: bool = True) -> None:
        """Make it what it was.

        Args:
            saved: what ``save`` told.
            up: whether its engine runs.
        """
        tree.write(ROOTS, saved.files)
        self._scopes.clear()
        for tool, text in _rules().items():
            if list(_chains(text)) != list(_chains(saved.rules[tool])):
                _load_rules(tool, saved.rules[tool])
        self._settings.load(saved.settings)
        self.services.active = set(saved.active)
        self.services.failed = set(saved.failed)
        self.services.known = dict(saved.known)
        self.services.timers = dict(saved.timers)
        self.services.rules = list(saved.audited)
        _BOOT_ID.write_text(saved.boot)
        self.clock.ahead = saved.now - time.monotonic()
        if not up:
            self.engine.kill()
            return
        if not self.engine.pid or (self.engine.config, self.engine.live) != (saved.config, saved.live):
            self.engine.stop()
            config = Path(transaction.CONFIG)
            if saved.config:
                config.parent.mkdir(exist_ok=True)
                config.write_bytes(saved.config)
            else:
                config.unlink(missing_ok=True)
            self.engine.start()
            tree.write(ROOTS, saved.files)
        self.engine.remember()

    # --- a reboot -------------------------------------------------------------------------------------------

    def go_down(self) -> None:
        """Lose what no disk has. Files that were not synced are not lost: that is not modelled."""
        self.engine.kill()
        self.services.lose()
        for tool in _TOOLS:
            _load_rules(tool, "")
        self._settings.load(transaction.BEFORE)
        _BOOT_ID.write_text(f"{uuid.uuid4()}\n")

    def come_up(self) -> None:
        """Start what starts after the guard's unit."""
        self._settings.load_files()
        self.services.boot()
        self.engine.remember()


class _Settings:
    """Settings of the kernel: this machine's have files bound over them, those of the network are real."""

    def __init__(self) -> None:
        for key in transaction.VALUES:
            if not key.startswith("net."):
                file = Path("/run") / key
                file.write_text("0\n")
                subprocess.run(["mount", "--bind", file, _setting(key)], check=True)

    def read(self) -> dict[str, str]:
        return {key: _setting(key).read_text().strip() for key in transaction.VALUES}

    def load(self, values: dict[str, str]) -> None:
        for key, value in values.items():
            if _setting(key).read_text().strip() != value:
                _setting(key).write_text(f"{value}\n")

    def load_files(self) -> None:
        """As systemd-sysctl does at boot."""
        for file in sorted(Path("/etc/sysctl.d").glob("*.conf")):
            for line in file.read_text().splitlines():
                key, _, value = line.partition("=")
                if key.strip() in transaction.VALUES:
                    self.load({key.strip(): value.strip()})


def _setting(key: str) -> Path:
    return Path("/proc/sys") / key.replace(".", "/")


def _mount(*, bare: bool) -> None:
    """Folders of our own over those that a run changes."""
    room = Path("/mnt")
    _run("mount", "-t", "tmpfs", "tmpfs", str(room))
    (room / "upper").mkdir()
    (room / "work").mkdir()
    options = f"lowerdir=/etc,upperdir={room}/upper,workdir={room}/work"
    _run("mount", "-t", "overlay", "overlay", "-o", options, "/etc")
    sources, kept = Path(__file__).parents[2], room / "sources"
    kept.mkdir()
    _run("mount", "--bind", str(sources), str(kept))
    for folder in _TMPFS:
        _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)
    if not sources.exists():  # a clone below /tmp
        sources.mkdir(parents=True)
        _run("mount", "--bind", str(kept), str(sources))
    for root in ROOTS:
        if root.is_dir() and root.is_relative_to("/etc"):
            shutil.rmtree(root)
    for folder in ("/run/systemd/system", "/etc/systemd/system"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    for folder in () if bare else ("/etc/sysctl.d", "/etc/tmpfiles.d"):
        Path(folder).mkdir(exist_ok=True)
    for target in () if bare else ("sysinit", "timers"):  # as every Debian has them
        Path(f"/etc/systemd/system/{target}.target.wants").mkdir()
        Path(f"/etc/systemd/system/{target}.target.wants/other.service").symlink_to("/usr/lib/other.service")
    Path("/run/boot_id").write_text(f"{uuid.uuid4()}\n")
    _run("mount", "--bind", "/run/boot_id", str(_BOOT_ID))


def _hide_real(name: str) -> None:
    """Keep this machine's own program from being run where the execution of its stand-in fails.

    A program is searched in the whole path: if the first one cannot be executed, the next one is tried.
    """
    hidden = Path("/run/hidden")
    hidden.touch(mode=0o600)  # nothing can execute it
    others = [folder for folder in PATH.split(":") if Path(folder) != _STAND_INS]
    for real in {(Path(folder) / name).resolve() for folder in others}:
        if real.exists():
            _run("mount", "--bind", str(hidden), str(real))
    remaining = shutil.which(name, path=":".join(others))
    assert remaining is None, f"{remaining} would run where the stand-in does not"


def _run(*words: str) -> None:
    subprocess.run(words, check=True)


def _rules() -> dict[str, str]:
    return {
        tool: subprocess.run([f"{tool}-save"], check=True, capture_output=True, text=True).stdout
        for tool in _TOOLS
    }


def _chains(text: str) -> Iterator[str]:
    """What is loaded, without dates, counters, and tables and chains that say nothing."""
    for line in re.sub(r" \[\d+:\d+\]", "", text).splitlines():
        if not line.startswith("#") and not re.fullmatch(r":[A-Z]+ ACCEPT|\*.*|COMMIT", line):
            yield line


def _load_rules(tool: str, text: str) -> None:
    """Load what was saved, and empty the tables that it does not name."""
    for table, chains in _TABLES.items():
        if f"*{table}\n" not in text:
            lines = [f"*{table}", *(f":{chain} ACCEPT [0:0]" for chain in chains), "COMMIT"]
            text += "".join(f"{line}\n" for line in lines)
    subprocess.run([f"{tool}-restore"], input=text, check=True, text=True, capture_output=True)
