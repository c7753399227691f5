"""Random daemon.json and flags: what the engine answers after a start, and what the judges say of them."""

from __future__ import annotations

import json
import os
import random
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.docker import config, engine
from ansible_collections.hardener.docker.plugins.module_utils.docker.seccomp import REPORTED
from ansible_collections.hardener.docker.plugins.module_utils.host.redact import Redactor
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import daemonconfig

from hardener.checks import all_checks
from hardener.checks.lib.settings import Settings, api_hosts
from hardener.model import Status, Verdict
from hardener.snapshot import FactUnavailable, Snapshot
from tests.integration.collecting import collect
from tests.integration.dockerd import Dockerd, EngineError
from tests.unit.snapshots import make

_UNLIMITED = 1 << 62
_SWITCHES = ("true", "false", "1", "0", "T", "f", "TRUE", "False", "yes", "")
# Seccomp profiles, by the number of calls that they open beyond the engine's own.
_OPENED = (0, 3, 19, 20, len(REPORTED))
_MOST_PROCESSES = 1 << 22  # of a kernel
_PARENT = "/docker"  # of the cgroups of containers


@dataclass(frozen=True)
class Key:
    """A key of daemon.json: what may stand there, and the flag that sets it."""

    name: str
    flag: str
    values: tuple[Any, ...]

    @property
    def is_switch(self) -> bool:
        """Whether the flag stands alone."""
        return isinstance(self.values[0], bool)


_BOTH = (True, False)
KEYS = (
    *(Key(name, name, _BOTH) for name in ("live-restore", "debug", "no-new-privileges", "experimental")),
    *(Key(name, name, _BOTH) for name in ("userland-proxy", "icc", "icc", "debug", "ip6tables")),
    Key("log-driver", "log-driver", ("json-file", "local", "none", "journald", "no-such-driver")),
    Key("log-level", "log-level", ("info", "debug", "warn", "error", "INFO", "loud")),
    Key("log-level", "log-level", ("info", "warn", "Debug")),
    Key("log-opts", "log-opt", ({"max-size": "1m"}, {"max-size": "2m", "max-file": "3"}, {})),
    Key(
        "default-ulimits",
        "default-ulimit",
        (
            {"nofile": {"Name": "nofile", "Hard": 2048, "Soft": 1024}},
            {"nofile": {"Name": "nofile", "Hard": -1, "Soft": -1}},
            {"nproc": {"Name": "nproc", "Hard": 500, "Soft": 400}},
            {},
        ),
    ),
    Key(
        "default-ulimits",
        "default-ulimit",
        (
            {"nproc": {"Name": "nproc", "Hard": -1, "Soft": -1}},
            {"nproc": {"Name": "nproc", "hard": -1, "soft": 400}},
            {"nproc": {"Name": "nproc", "Hard": _MOST_PROCESSES, "Soft": 400}},
        ),
    ),
    Key("default-runtime", "default-runtime", ("runc", "io.containerd.runc.v2", "missing")),
    Key("labels", "label", (["a=1"], ["a=1", "b=2"], [])),
    Key(
        "insecure-registries",
        "insecure-registry",
        (["10.0.0.0/8"], ["registry.lan:5000"], ["127.0.0.1:5000"]),
    ),
    Key("registry-mirrors", "registry-mirror", (["https://mirror.lan"], ["http://mirror.lan"])),
    Key("default-shm-size", "default-shm-size", ("64M", "16m", "1g")),
    Key("default-ipc-mode", "default-ipc-mode", ("private", "shareable", "host")),
    Key("default-cgroupns-mode", "default-cgroupns-mode", ("private", "host")),
    Key("seccomp-profile", "seccomp-profile", ("builtin", "unconfined", "{root}/profile.json", "/no/such")),
    Key("seccomp-profile", "seccomp-profile", ("{root}/profile.json",)),
    Key("cgroup-parent", "cgroup-parent", (f"{_PARENT}/approved", f"{_PARENT}/other")),
    Key("mtu", "mtu", (1400, 1500)),
    Key("ip", "ip", ("127.0.0.1", "0.0.0.0", "192.0.2.1")),
    Key("label", "", (["a=1"],)),
    Key("max-concurrent-downloads", "max-concurrent-downloads", (3, 5)),
)
# Those with which the engine here never starts, or not often.
_REFUSED = (
    Key("data-root", "", ("/srv/elsewhere",)),
    Key("no-such-key", "", (True,)),
    Key("iptables", "iptables", _BOTH),
    Key("max-concurrent-downloads", "max-concurrent-downloads", (0,)),
)
_WRONG: tuple[Any, ...] = ("true", 1, None, [], {}, [True])
_SPOILED: tuple[Callable[[str], str], ...] = (
    lambda text: text[:-1] + ",}",
    lambda text: text + "}",
    lambda text: "[]",
    lambda text: "",
    lambda text: " \n",
    lambda text: "null",
    lambda text: text.replace("true", "True"),
    lambda text: '{"debug": NaN}',
    lambda text: "// a comment\n" + text,
)


@dataclass(frozen=True)
class Case:
    """What one daemon is told."""

    flags: tuple[str, ...]
    text: bytes | None  # of daemon.json; None where there is none
    opened: tuple[str, ...] = ()  # calls, by profile.json
    host_config: Mapping[str, Any] = field(default_factory=dict)  # of the container that is asked
    swarm: bool = False

    def sets(self, key: str) -> str:
        """Where a key is set: ``--`` for a flag, ``file``, or ``default``."""
        flag = next((known.flag for known in KEYS if known.name == key), key)
        short = {"log-level": "-l", "debug": "-D"}.get(key)
        names = {word.partition("=")[0] for word in self.flags}
        if f"--{flag}" in names or (short and any(word.startswith(short) for word in self.flags)):
            return "--"
        text = (self.text or b"").decode("utf-16" if b"\0" in (self.text or b"") else "utf-8", "replace")
        return "file" if re.search(rf'"{key}"\s*:(?!\s*null)', text) else "default"


@dataclass(frozen=True)
class Observed:
    """A start, or why the engine refused it; and what it answers."""

    case: Case
    argv: tuple[str, ...]
    declared: Any  # what the collector makes of file and command line, without a running daemon
    refused: str
    snapshot: Any
    answers: dict[str, Any]
    touched: bool = False  # whether daemon.json is younger than the engine


def _case(dice: random.Random) -> Case:
    given: list[str] = []
    content: list[tuple[str, Any]] = []
    keys = dice.sample(KEYS, dice.choice((1, 2, 3, 4, 6)))
    for key in keys + ([dice.choice(_REFUSED)] if dice.random() < 0.1 else []):
        value = dice.choice(key.values)
        where = "both" if dice.random() < 0.04 else dice.choice(("file", "flag"))
        if where != "file" and key.flag:
            given += _words(dice, key, value)
        if where != "flag" or not key.flag:
            value = dice.choice(_WRONG) if dice.random() < 0.03 else value
            content.append((key.name, value))
            if dice.random() < 0.08:
                content.insert(0, (key.name, dice.choice(key.values)))
    second = "unix://{root}/second.sock"
    if dice.random() < 0.2:
        given += dice.choice(([f"--host={second}"], ["--host", second], [f"-H{second}"], ["-H", second]))
    others = {"opened": tuple(dice.sample(sorted(REPORTED), dice.choice(_OPENED))), **_workload(dice)}
    if not content and dice.random() < 0.2:  # the engine insists on a file that it is told of
        return Case(tuple(given), None, **others)
    body = ", ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in content)
    text = f"{{{body}}}"
    if dice.random() < 0.07:
        text = dice.choice(_SPOILED)(text)
    coded = text.encode()
    if dice.random() < 0.1:
        coded = dice.choice((text.encode("utf-16"), text.encode("utf-8-sig"), text.encode("utf-16-be")))
    return Case(tuple(given), coded, **others)


def _workload(dice: random.Random) -> dict[str, Any]:
    """What runs on the engine."""
    port = dice.choice(("80", "18080"))
    host_config: dict[str, Any] = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]}}
    if dice.random() < 0.2:
        host_config = {"NetworkMode": "host"}
    if dice.random() < 0.2:
        host_config["Privileged"] = True
    return {"host_config": host_config, "swarm": dice.random() < 0.05}


def _words(dice: random.Random, key: Key, value: Any) -> list[str]:
    """A flag, in one of the ways in which people write it."""
    if key.is_switch:
        text = dice.choice(_SWITCHES[:8]) if dice.random() < 0.9 else dice.choice(_SWITCHES)
        short = ["-D", f"-D={text}"] if key.name == "debug" else []
        word = dice.choice((f"--{key.flag}", f"--{key.flag}={text}", f"--{key.flag}={text}", *short))
        return [word, f"--{key.flag}=false"] if dice.random() < 0.05 else [word]
    if isinstance(value, Mapping):
        texts = [_option(name, part) for name, part in value.items()]
    else:
        texts = [str(part) for part in value] if isinstance(value, list) else [str(value)]
    letter = {"log-level": "-l"}.get(key.flag)
    words = []
    for text in texts:
        forms = [[f"--{key.flag}={text}"], [f"--{key.flag}", text]]
        forms += [[f"{letter}{text}"], [letter, text], [f"{letter}={text}"]] if letter else []
        words += dice.choice(forms)
    return words


def _option(name: str, value: Any) -> str:
    if not isinstance(value, Mapping):
        return f"{name}={value}"
    limits = {key.lower(): limit for key, limit in value.items()}
    return f"{name}={limits['soft']}:{limits['hard']}"


def observe(engine_: Dockerd, dice: random.Random) -> Observed:
    """Start the engine with random settings, ask it for all that they are about, and stop it."""
    case = _case(dice)
    root = str(engine_.root)
    permitted = {"names": ["read", *case.opened], "action": "SCMP_ACT_ALLOW"}
    filters = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [permitted]}
    (engine_.root / "profile.json").write_text(json.dumps(filters))
    engine_.flags = tuple(flag.replace("{root}", root) for flag in case.flags)
    engine_.config_file.unlink(missing_ok=True)
    if case.text is not None:
        wide = case.text.startswith((b"\xff\xfe", b"\xfe\xff"))
        text = case.text.decode("utf-16" if wide else "utf-8").replace("{root}", root)
        engine_.config_file.write_bytes(text.encode("utf-16") if wide else text.encode())
    declared = _declared(engine_)
    engine_.log.write_text("")
    argv = tuple(engine_.command)
    try:
        engine_.start()
    except EngineError as error:
        engine_.stop()
        return Observed(case, argv, declared, str(error) or "refused", None, {})
    try:
        answers = _answers(engine_, case)
        touched = case.text is not None and dice.random() < 0.5
        if touched:
            later = time.time() + 60
            os.utime(engine_.config_file, (later, later))
        policy = {"cgroup_parents": [f"{_PARENT}/approved"]}
        return Observed(case, argv, declared, "", collect(engine_, policy=policy).raw, answers, touched)
    finally:
        engine_.remove_containers()
        if case.swarm:
            with suppress(EngineError):
                engine_.api("POST", "/swarm/leave?force=1")
        engine_.stop()


def _declared(engine_: Dockerd) -> Any:
    """What the collector says of a daemon that would be started like this."""
    found = engine.Engine()
    found.binaries = {"dockerd": engine_.command[0]}
    found.argv = engine_.command
    found.flags, found.unknown = config.parse_flags(found.argv[1:])
    found.config = config.read(config.path_of(found.flags, {}, "/root", rootless=False))
    return daemonconfig.declared(found, Redactor())


def _answers(engine_: Dockerd, case: Case) -> dict[str, Any]:
    """What the engine says and does, by what it was asked for."""
    info = engine_.api("GET", "/info")
    options = engine_.api("GET", "/networks/bridge")["Options"]
    version = engine_.api("GET", "/version")
    wanted: dict[str, Any] = {"host_config": dict(case.host_config), "ExposedPorts": {"80/tcp": {}}}
    try:
        identity = engine_.create("asked", **wanted)
    except EngineError:  # a logging driver that does not exist; the engine starts all the same
        wanted["host_config"]["LogConfig"] = {"Type": "none"}
        identity = engine_.create("asked", **wanted)
    inspected = engine_.api("GET", f"/containers/{identity}/json")["HostConfig"]
    answers = {
        "live-restore": info["LiveRestoreEnabled"],
        "debug": info["Debug"],
        "experimental": version.get("Experimental", False) is True,
        "icc": options["com.docker.network.bridge.enable_icc"] == "true",
        "mtu": options["com.docker.network.driver.mtu"],
        "ip": options["com.docker.network.bridge.host_binding_ipv4"],
        "log-driver": info["LoggingDriver"],
        "log-opts": inspected["LogConfig"]["Config"],
        "labels": info["Labels"],
        "default-runtime": info["DefaultRuntime"],
        "default-shm-size": inspected["ShmSize"],
        "default-ipc-mode": inspected["IpcMode"],
        # With the first version of cgroups a privileged container has the host's namespace, whatever is set.
        "default-cgroupns-mode": "" if inspected["Privileged"] else inspected["CgroupnsMode"],
        "seccomp-profile": next(
            (option for option in info["SecurityOptions"] if option.startswith("name=seccomp")), ""
        ),
        "hosts": sorted(f"unix://{path}" for path in engine_.root.glob("*.sock") if _listens(path)),
        "insecure": _insecure(info["RegistryConfig"]),
        "mirrors": info["RegistryConfig"]["Mirrors"],
        "swarm": case.swarm and _joins_swarm(engine_),
    }
    try:
        engine_.api("POST", f"/containers/{identity}/start")
        started = engine_.api("GET", f"/containers/{identity}/json")
        answers |= _of_process(started["State"]["Pid"])
        if any(started["NetworkSettings"]["Ports"].values()):
            answers |= {"userland-proxy": _has_proxy(engine_.pid)}
    except EngineError as error:
        answers["beyond the kernel's limits"] = "error setting rlimit" in str(error)
    time.sleep(0.02)
    log = engine_.log.read_text(errors="replace").splitlines()
    # It says that it starts before it reads any setting; containerd and its shims write to the same log.
    others = ("Starting up", " runtime=io.containerd.", " namespace=moby")
    lines = (line for line in log if not any(word in line for word in others))
    answers["levels"] = sorted({found[1] for line in lines if (found := re.search(r"\blevel=(\w+)", line))})
    return answers


def _joins_swarm(engine_: Dockerd) -> bool:
    """Whether the engine makes a swarm: it refuses with some settings."""
    with suppress(EngineError):
        engine_.api("POST", "/swarm/init", {"ListenAddr": "127.0.0.1:2377", "AdvertiseAddr": "127.0.0.1"})
        return True
    return False


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
        client.connect(str(path))
        return True
    return False


def _of_process(pid: int) -> dict[str, Any]:
    status = Path(f"/proc/{pid}/status").read_text()
    limits = Path(f"/proc/{pid}/limits").read_text()
    cgroup = Path(f"/proc/{pid}/cgroup").read_text().splitlines()[0].rpartition(":")[2]
    found = {
        name: re.search(rf"^{title} +(\S+) +(\S+)", limits, re.MULTILINE)
        for name, title in (("nofile", "Max open files"), ("nproc", "Max processes"))
    }
    return {
        "no-new-privileges": "NoNewPrivs:\t1" in status,
        "seccomp": "Seccomp:\t2" in status,
        "limits": {name: match.groups() for name, match in found.items() if match},
        "cgroup-parent": str(Path(cgroup).parent),
        "privileged": _capabilities(status) == _capabilities(Path("/proc/self/status").read_text()),
        "host network": Path(f"/proc/{pid}/ns/net").readlink() == Path("/proc/thread-self/ns/net").readlink(),
    }


def _capabilities(status: str) -> list[str]:
    return re.findall(r"CapEff:\t(\w+)", status)


def _has_proxy(daemon: int) -> bool:
    for folder in Path("/proc").iterdir():
        with suppress(OSError, IndexError, ValueError):
            if (folder / "comm").read_text().strip() == "docker-proxy":
                parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
                if int(parent) == daemon:
                    return True
    return False


def _insecure(registries: Mapping[str, Any]) -> list[str]:
    named = [name for name, index in registries["IndexConfigs"].items() if not index["Secure"]]
    return sorted({*(registries["InsecureRegistryCIDRs"] or ()), *named} - {"127.0.0.0/8", "::1/128"})


# Keys whose value the engine repeats as it was given.
_REPEATED = ("log-driver", "default-ipc-mode", "default-cgroupns-mode", "default-runtime")


def disagreements(seen: Observed) -> list[str]:
    """What collector and judges say otherwise than the engine."""
    found = list(_refusal(seen) if seen.refused else _settings(seen) if seen.answers else ())
    if not seen.refused:
        found += _verdicts(seen)
    told = f"{' '.join(seen.case.flags)} {seen.case.text!r}"
    return [f"{text}\n  {told}\n  {seen.refused[-300:]}" for text in found]


def _settings_of(seen: Observed) -> Settings:
    raw = make().raw
    told = {"daemon.config": {"state": "ok", "ms": 1, "data": seen.declared}}
    return Settings(Snapshot({**raw, "sources": {**raw["sources"], **told}}))


def _problem(settings: Settings) -> str:
    """Why the judges take the settings for none that a daemon starts with."""
    try:
        if settings.conflicts:
            return "conflict"
    except FactUnavailable as unreadable:
        return f"unreadable: {unreadable.reason}"
    for key in (key for key in KEYS if key.flag):
        read = settings.boolean if key.is_switch else settings.text
        if isinstance(key.values[0], list | dict):
            read = settings.entries
        if key.name.startswith(("default-shm", "mtu", "max-")):
            read = settings.get
        try:
            read(key.name)
        except FactUnavailable as wrong:
            return wrong.reason
    return ""


def _refusal(seen: Observed) -> Iterator[str]:
    """Where the engine says why it does not start, the judges have to see that too."""
    problem = _problem(_settings_of(seen))
    last = seen.refused.replace("\\", "")
    if "both as a flag and in the configuration file" in last and problem != "conflict":
        yield f"the engine sees a conflict, the judges: {problem or 'none'}"
    # Flags are parsed before the file.
    reasons = ("both as a flag", "unable to configure", "invalid argument")
    if problem == "conflict" and not any(reason in last for reason in reasons):
        yield "the judges see a conflict, the engine none"
    syntax = re.search(r"invalid character|unexpected end of JSON|cannot unmarshal array into Go value", last)
    if syntax and not problem.startswith("unreadable"):
        yield f"the engine cannot read the file, the judges: {problem or 'they can'}"
    if "cannot unmarshal" in last and "of type bool" in last and not problem:
        yield "the engine finds a value of the wrong type, the judges none"


def _settings(seen: Observed) -> Iterator[str]:
    """What the judges take for declared is what the running engine has."""
    for name, settings in (("before", _settings_of(seen)), ("running", Settings(Snapshot(seen.snapshot)))):
        if problem := _problem(settings):
            yield f"{name}: the engine runs, and the judges see {problem}"
            continue
        answers = seen.answers
        for key in ("live-restore", "debug", "no-new-privileges", "experimental", "icc", "userland-proxy"):
            said = settings.boolean(key).value
            if key in answers and said != answers[key]:
                yield f"{name}: {key} is said to be {said}, is {answers[key]}"
        for key in _REPEATED:
            said = settings.text(key).value
            if said and answers[key] and said != answers[key]:
                yield f"{name}: {key} is said to be {said}, is {answers[key]}"
        hosts = sorted(api_hosts(Snapshot(seen.snapshot), settings))
        if hosts != answers["hosts"]:
            yield f"{name}: hosts are said to be {hosts}, are {answers['hosts']}"
        if sorted(settings.entries("labels").value) != sorted(answers["labels"] or ()):
            yield f"{name}: labels are said to be {settings.entries('labels').value}"
        shown = settings.evidence("labels")[0]
        if answers["labels"] and ("['" in shown) != (seen.case.sets("labels") == "file"):
            yield f"{name}: {shown}"
        options = dict(entry.split("=", 1) for entry in settings.entries("log-opts").value)
        if answers["log-driver"] != "no-such-driver" and options != (answers["log-opts"] or {}):
            yield f"{name}: log-opts are said to be {options}, are {answers['log-opts']}"
        mirrors = [mirror.rstrip("/") for mirror in answers["mirrors"] or ()]
        if sorted(settings.entries("registry-mirrors").value) != sorted(mirrors):
            yield f"{name}: mirrors are said to be {settings.entries('registry-mirrors').value}"
        if bool(settings.entries("insecure-registries").value) < bool(answers["insecure"]):
            yield f"{name}: {answers['insecure']} is insecure, and not said to be declared"


def _verdicts(seen: Observed) -> Iterator[str]:
    """What the verdicts say of the running engine."""
    judges, snapshot, answers = all_checks(), Snapshot(seen.snapshot), seen.answers
    try:
        wanted = _wanted(seen)
    except FactUnavailable:
        return  # told already
    for slug, passes in wanted.items():
        verdict = judges[slug](snapshot)
        key = _FROM_THE_FILE.get(slug)
        # What only the file proves is not proven by one that was changed since the start.
        stale = passes and key and seen.touched and seen.case.sets(key) != "--"
        if slug == "daemon-userland-proxy-disabled" and "userland-proxy" in answers:
            stale = False  # the processes prove it
        status = Status.MANUAL if stale else Status.PASS
        if passes is not None and (verdict.status is status) != bool(passes):
            yield f"{slug}: {verdict.status}, and {answers}"
        yield from _misled(slug, verdict, seen)
    for slug, wanted_status in (_ALWAYS | _statuses(seen)).items():
        verdict = judges[slug](snapshot)
        if verdict.status is not wanted_status:
            yield f"{slug}: {verdict.status}, and {answers}"
        yield from _misled(slug, verdict, seen)
    yield from _sentences(
        {slug: judges[slug](snapshot) for slug in (*wanted, *_ALWAYS, "daemon-seccomp-custom")}, seen
    )


def _wanted(seen: Observed) -> dict[str, bool | None]:
    """Whether the controls pass; None where the engine does not show it."""
    answers = seen.answers
    limits = answers.get("limits", {})
    settings = _settings_of(seen)
    declared = settings.get("default-ulimits").value
    endless = answers.get("beyond the kernel's limits", False)
    endless |= any(_is_endless(name, *limit) for name, limit in limits.items() if name in str(declared))
    levels = set(answers["levels"])
    outside = [name for name in answers["insecure"] if not name.startswith("127.")]
    outside += [mirror for mirror in answers["mirrors"] or () if mirror.startswith("http://")]
    return {
        "daemon-live-restore": answers["live-restore"] and not answers["swarm"],
        "daemon-icc-disabled": not answers["icc"],
        "swarm-mode-off": not answers["swarm"],
        "daemon-experimental-off": not answers["experimental"],
        "daemon-no-new-privileges": answers.get("no-new-privileges"),
        "daemon-userland-proxy-disabled": not answers.get(
            "userland-proxy", settings.boolean("userland-proxy").value
        ),
        "daemon-log-level-info": "info" in levels and "debug" not in levels,
        "daemon-default-ulimits": bool(declared) and not endless if limits or endless else None,
        "daemon-insecure-registries-none": not outside,
        "daemon-cgroup-parent-default": answers["cgroup-parent"] in (_PARENT, f"{_PARENT}/approved")
        if "cgroup-parent" in answers
        else None,
    }


def _is_endless(name: str, _soft: str, hard: str) -> bool:
    return hard == "unlimited" or (name == "nproc" and int(hard) >= _MOST_PROCESSES)


def _statuses(seen: Observed) -> dict[str, Status]:
    """The verdicts that are more than passing or not."""
    profile = seen.answers["seccomp-profile"].partition("profile=")[2]
    seccomp = {"builtin": Status.PASS, "unconfined": Status.FAIL}
    own = Status.FAIL if seen.case.opened else Status.MANUAL
    found = {"daemon-seccomp-custom": seccomp.get(profile, own)}
    return found | ({"daemon-live-restore": Status.NOT_APPLICABLE} if seen.answers["swarm"] else {})


def _sentences(verdicts: Mapping[str, Verdict], seen: Observed) -> Iterator[str]:
    """What the verdicts tell beside their status."""
    answers, asked = seen.answers, seen.case.host_config
    facts = ["needs root: swarm mode (overlay networks)"] if answers["swarm"] else []
    if answers.get("privileged", asked.get("Privileged")):
        facts.append("needs root: asked is privileged")
    if answers.get("host network", "NetworkMode" in asked):
        facts.append("needs root: asked uses the host's network")
    if "userland-proxy" in answers and "'80'" in str(asked):
        facts.append("needs net.ipv4.ip_unprivileged_port_start: asked 127.0.0.1:80/tcp")
    told = verdicts["daemon-rootless"].evidence
    if set(told) != set(facts or ["no running container was found that needs root"]):
        yield f"daemon-rootless: {told}, and {facts}"
    parent = verdicts["daemon-cgroup-parent-default"].actual
    if ("unset" in parent) != (
        answers.get("cgroup-parent", _PARENT) == _PARENT
    ) and "cgroup-parent" in answers:
        yield f"daemon-cgroup-parent-default: {parent}, and {answers['cgroup-parent']}"
    profile = verdicts["daemon-seccomp-custom"]
    if "weaker" in profile.actual and not all(call in profile.evidence[0] for call in seen.case.opened):
        yield f"daemon-seccomp-custom: {profile.evidence}, and {seen.case.opened}"


# What this engine's verdicts are whatever it is told here.
_ALWAYS = {
    "daemon-rootless": Status.MANUAL,
    "daemon-storage-aufs-absent": Status.NOT_APPLICABLE,
    "daemon-storage-devicemapper-absent": Status.NOT_APPLICABLE,
    "daemon-base-device-size": Status.NOT_APPLICABLE,
    "daemon-userns-remap": Status.FAIL,
}
# The key of which nothing but the file tells the value.
_FROM_THE_FILE = {
    "daemon-log-level-info": "log-level",
    "daemon-default-ulimits": "default-ulimits",
    "daemon-cgroup-parent-default": "cgroup-parent",
    "daemon-userland-proxy-disabled": "userland-proxy",
}


def _misled(slug: str, verdict: Verdict, seen: Observed) -> Iterator[str]:
    """What a verdict tells of the settings is what they are: they are those of the last start."""
    answers = seen.answers
    if "at the next restart" in verdict.actual:
        yield f"{slug}: {verdict.actual}"
    for key, value in answers.items():
        if isinstance(value, bool) and f"{key} is {'off' if value else 'on'}" in verdict.actual:
            yield f"{slug}: {verdict.actual}, and {key} is {value}"
    for fact in verdict.evidence:
        key, _, value = fact.partition(": ")
        shown, _, origin = value.rpartition(" (")
        if not isinstance(answers.get(key), bool) or not shown:
            continue
        if shown != str(answers[key]).lower():
            yield f"{slug}: {fact}, and it is {answers[key]}"
        where = "--" if origin.startswith("--") else "file" if origin.startswith("/") else origin.rstrip(")")
        if where != seen.case.sets(key):
            yield f"{slug}: {fact}, and it is set in {seen.case.sets(key)}"


def observed(seed: int, cases: int) -> Iterator[Observed]:
    """Starts of one engine with random settings."""
    with Dockerd() as started:
        started.ensure_image()
        started.stop()
        for number in range(cases):
            yield observe(started, random.Random(f"{seed} {number}"))
        started.flags = ()
