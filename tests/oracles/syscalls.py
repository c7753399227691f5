"""Random seccomp profiles: the system calls that containers can really make, and what the judges say of them.

Run as a program with a list of cases, it starts an engine and containers that try each call with several
arguments, and prints what it saw. No call is executed: before anything else, the program puts a filter into
force, for itself and all that it starts, that answers a call whose sixth argument is a certain number. A
profile that refuses the call comes first: of two filters that refuse, the one added last gives the error.

    python -m tests.oracles.receiving tests.oracles.syscalls SEED CASES
"""

from __future__ import annotations

import ctypes
import json
import platform
import random
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.docker import seccomp_rules
from ansible_collections.hardener.docker.plugins.module_utils.docker.seccomp import REPORTED
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import seccomp

from hardener.checks.lib import filters
from hardener.checks.lib.containers import containers
from hardener.snapshot import Snapshot
from tests.integration.collecting import collect, judge, named
from tests.integration.dockerd import Dockerd, EngineError
from tests.leftovers import scratch

CONTROL = "container-seccomp-enabled"
BATCH = 24
POOL = tuple(sorted(REPORTED | seccomp.LIMITED))
CAPABILITIES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "as given": {},
    "none": {"CapDrop": ["ALL"]},
    "admin": {"CapAdd": ["SYS_ADMIN"]},
    "modules": {"CapAdd": ["SYS_MODULE", "SYS_RAWIO", "SYS_PACCT"]},
    "clock": {"CapAdd": ["SYS_TIME", "SYS_BOOT", "SYSLOG"]},
    "bpf": {"CapAdd": ["BPF", "PERFMON", "DAC_READ_SEARCH"]},
    "all": {"CapAdd": ["ALL"]},
}
# What the runtime and the program that tries calls need.
_BASE = """
    " access arch_prctl brk capget capset chdir clock_gettime clock_nanosleep close close_range dup dup2
    dup3 epoll_create1 epoll_ctl epoll_pwait epoll_wait eventfd2 execve execveat exit exit_group faccessat
    faccessat2 fchdir fchown fcntl fstat fstatfs futex getcwd getdents64 getegid geteuid getgid getpgrp
    getpid getppid getrandom getrlimit gettid getuid ioctl kill lseek lstat madvise mincore mmap mprotect
    mremap munmap nanosleep newfstatat open openat openat2 pause pipe2 poll ppoll prctl pread64 prlimit64
    read readlink readlinkat rename renameat renameat2 restart_syscall rseq rt_sigaction rt_sigprocmask
    rt_sigreturn sched_getaffinity sched_yield select set_robust_list set_tid_address setgid setgroups
    setuid sigaltstack stat statfs statx tgkill time times umask uname wait4 write writev
"""
_NUMBERS = (0, 1, 2, 8, 16, 38, 40, 0x20000, 0x7E020000, 0xFFFFFFFF)
_OPERATORS = ("EQ", "NE", "LT", "LE", "GT", "GE", "MASKED_EQ")
TELLING = {"clone": 0x10000000, "clone3": 0, "personality": 0x40000, "socket": 40}
_MAGIC = 0x6861726465
_PERMITTED = 4000  # an error that no call gives
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_TRIES = """
open(my $plan, "<", "/work/plan"); my @lines = <$plan>;
my $trapped = 0; $SIG{SYS} = sub { $trapped = 1 };
open(my $out, ">", "/work/out.new") or exit 1;
for my $line (@lines) {
    my ($nr, @args) = map { $_ + 0 } split(" ", $line);
    $trapped = 0; $! = 0;
    syscall($nr, @args, 0, 0, MAGIC);
    my $error = $! + 0;
    syswrite($out, ($trapped ? 0 : $error == PERMITTED ? 1 : 0) . "\\n");
}
rename("/work/out.new", "/work/out") or exit 1;
sleep 1 while 1;
""".replace("MAGIC", str(_MAGIC)).replace("PERMITTED", str(_PERMITTED))


@dataclass(frozen=True)
class Case:
    """One container: its profile, and the calls that it tries."""

    name: str
    capabilities: str
    profile: dict[str, Any] | None  # None for the engine's own
    tries: tuple[tuple[str, int, int, int], ...]


@dataclass
class Observed:
    """Some containers, as the collector saw them before and after their start, and what they can do."""

    stopped: Any
    running: Any
    cases: dict[str, Case]
    resolved: dict[str, Any]  # the profile in force, by the container's name
    permitted: dict[str, tuple[bool, ...]]  # beside the tries of its case
    references: dict[str, tuple[bool, ...]] = field(default_factory=dict)  # the engine's own, by capabilities


def _arguments(dice: random.Random) -> list[dict[str, Any]]:
    found = []
    for index in dice.sample(range(3), dice.choice((1, 1, 2))):
        operator = dice.choice(_OPERATORS)
        one: dict[str, Any] = {"index": index, "value": dice.choice(_NUMBERS), "op": f"SCMP_CMP_{operator}"}
        if operator == "MASKED_EQ":
            one |= {"value": dice.choice((0x7E020000, 0xFF, 1)), "valueTwo": dice.choice((0, 0, 1))}
        found.append(one)
    return found


def _rule(dice: random.Random) -> dict[str, Any]:
    action = dice.choice(("ALLOW", "ALLOW", "ALLOW", "ALLOW", "LOG", "ERRNO", "ERRNO", "TRAP"))
    names = dice.sample(POOL, min(len(POOL), dice.choice((1, 1, 2, 3, 8, 25, len(POOL)))))
    rule: dict[str, Any] = {"names": names, "action": f"SCMP_ACT_{action}"}
    if dice.random() < 0.1:
        rule = {"name": names[0], "action": f"SCMP_ACT_{action}"}
    if action == "ERRNO" and dice.random() < 0.7:
        rule["errnoRet"] = dice.choice((1, 38, 99))
    if dice.random() < 0.3:
        rule["args"] = _arguments(dice)
    if dice.random() < 0.25:
        side = dice.choice(("includes", "excludes"))
        what: dict[str, Any] = dice.choice(
            (
                {"caps": [dice.choice(("CAP_SYS_ADMIN", "CAP_BPF", "CAP_CHOWN"))]},
                {"arches": [dice.choice(("amd64", "arm64"))]},
                {"minKernel": dice.choice(("4.8", "99.0"))},
                {},
            )
        )
        rule[side] = what
    return rule


def profile(dice: random.Random, default: Mapping[str, Any]) -> dict[str, Any]:
    """A random profile that lets a container start; now and then the engine's own, changed."""
    if dice.random() < 0.3:
        made = deepcopy(dict(default))
        names = [rule for rule in made["syscalls"] if dice.random() > 0.05]
        made["syscalls"] = [*names, *(_rule(dice) for _ in range(dice.choice((0, 1, 1, 2))))]
        return made
    action = dice.choice(("ERRNO",) * 7 + ("ALLOW", "LOG", "TRAP"))
    made = {"defaultAction": f"SCMP_ACT_{action}"}
    if action == "ERRNO" and dice.random() < 0.5:
        made["defaultErrnoRet"] = dice.choice((1, 38, 99))
    rules = [_rule(dice) for _ in range(dice.choice((0, 1, 1, 2, 3, 5)))]
    clone: dict[str, Any] = {"names": ["clone", "vfork", "fork"], "action": "SCMP_ACT_ALLOW"}
    if dice.random() < 0.6:
        clone["args"] = [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    if action not in {"ALLOW", "LOG"}:
        rules += [{"names": _BASE.split(), "action": "SCMP_ACT_ALLOW"}, clone]
        dice.shuffle(rules)
    if dice.random() < 0.5:
        made["architectures"] = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64"]
    return {**made, "syscalls": rules}


def _tries(dice: random.Random) -> tuple[tuple[str, int, int, int], ...]:
    """Each call, with the arguments that rules name and with others."""
    found = []
    for name in POOL:
        for _ in range(6):
            one, two, three = (dice.choice((*_NUMBERS, 3, 0x1234, 0x7E020001)) for _ in range(3))
            found.append((name, one, two, three))
        found += [(name, 0x7E020000, 0, 0), (name, 0xDEAD0000, 0xDEAD, 0xDEAD)]
        found += [(name, number, 0, 0) for number in (0, 1, 8, 38, 40, 0x20000, 0xFFFFFFFF)]
        for _ in range(6 if name in TELLING else 0):
            found.append((name, TELLING[name], dice.choice(_NUMBERS), dice.choice(_NUMBERS)))
    return tuple(found)


def land_calls() -> None:
    """Have all calls answered whose sixth argument is the magic number, here and in what is started here."""
    low, high = _MAGIC & 0xFFFFFFFF, _MAGIC >> 32
    code = (
        (0x20, 0, 0, 4),  # the architecture
        (0x15, 0, 5, _ARCHITECTURES[platform.machine()]),
        (0x20, 0, 0, 16 + 8 * 5),
        (0x15, 0, 3, low),
        (0x20, 0, 0, 16 + 8 * 5 + 4),
        (0x15, 0, 1, high),
        (0x06, 0, 0, 0x00050000 | _PERMITTED),  # SECCOMP_RET_ERRNO
        (0x06, 0, 0, 0x7FFF0000),  # SECCOMP_RET_ALLOW
    )
    program = ctypes.create_string_buffer(b"".join(struct.pack("<HBBI", *line) for line in code))
    fprog = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(code), ctypes.addressof(program)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(22, 2, fprog, 0, 0):  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        raise OSError(ctypes.get_errno(), "prctl")


def numbers() -> dict[str, int]:
    """The numbers of the calls on this machine."""
    library = ctypes.CDLL("libseccomp.so.2")
    return {name: library.seccomp_syscall_resolve_name(name.encode()) for name in POOL}


class Stage:
    """The engine, and what its containers try."""

    def __init__(self, engine: Dockerd, folder: Path, seed: str) -> None:
        self._engine = engine
        self._folder = folder
        self._numbers = numbers()
        self._tries = _tries(random.Random(seed))
        self._seed = seed
        plain = [Case(f"default {name}".replace(" ", "-"), name, None, self._tries) for name in CAPABILITIES]
        first = self._observed(plain)
        self._references = {case.capabilities: first.permitted[name] for name, case in first.cases.items()}
        self._default = first.resolved["default-as-given"]

    def batch(self, first: int, size: int) -> Observed:
        """Some cases."""
        cases = [self._case(number) for number in range(first, first + size)]
        if first // BATCH % 2 == 0:  # elsewhere no container shows what the engine's default is
            cases.append(Case(f"default{first}", "as given", None, self._tries))
        found = self._observed(cases)
        found.references = self._references
        return found

    def _case(self, number: int) -> Case:
        dice = random.Random(f"{self._seed} {number}")
        made = profile(dice, self._default)
        return Case(f"case{number}", dice.choice(sorted(CAPABILITIES)), made, self._tries)

    def _observed(self, cases: Sequence[Case]) -> Observed:
        engine = self._engine
        with ThreadPoolExecutor(4) as pool:
            made = dict(zip((case.name for case in cases), pool.map(self._create, cases), strict=True))
        stopped = collect(engine).raw
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(self._start, cases, made.values()))
        running = collect(engine).raw
        found = {case.name: seen for case, seen in zip(cases, done, strict=True) if seen is not None}
        tried = {case.name: case for case in cases if case.name in found}
        resolved = {name: self._resolved(made[name]) for name in tried}
        engine.remove_containers()
        return Observed(stopped, running, tried, resolved, found)

    def _create(self, case: Case) -> str:
        work = self._folder / case.name
        work.mkdir()
        lines = [f"{self._numbers[name]} {a} {b} {c}\n" for name, a, b, c in case.tries]
        (work / "plan").write_text("".join(lines))
        options = [] if case.profile is None else [f"seccomp={json.dumps(case.profile)}"]
        binds = [f"{name}:{name}:ro" for name in ("/usr", "/lib", "/lib64")]
        host_config = {
            **CAPABILITIES[case.capabilities],
            "Binds": [*binds, f"{work}:/work"],
            "SecurityOpt": options,
            "NetworkMode": "none",
        }
        return self._engine.create(
            case.name, command=["/usr/bin/perl", "-e", _TRIES], host_config=host_config
        )

    def _start(self, case: Case, identity: str) -> tuple[bool, ...] | None:
        """Which tries are permitted; None where the engine refuses the profile, or the program dies of it."""
        out = self._folder / case.name / "out"
        with suppress(EngineError):
            self._engine.api("POST", f"/containers/{identity}/start")
            deadline = time.monotonic() + 60
            while not out.exists():
                state = self._engine.api("GET", f"/containers/{identity}/json")["State"]
                if not state["Running"] and not out.exists():
                    return None
                assert time.monotonic() < deadline, f"{case.name} does not end its tries"
                time.sleep(0.02)
            return tuple(word == "1" for word in out.read_text().split())
        return None

    def _resolved(self, identity: str) -> Any:
        (bundle,) = self._engine.root.glob(f"exec/containerd/**/moby/{identity}/config.json")
        return json.loads(bundle.read_text())["linux"].get("seccomp")


def possible(case: Case, permitted: Sequence[bool]) -> set[str]:
    """The calls that a container can make with some arguments.

    Those that the engine permits with some only count where the first one is one that it refuses.
    """
    return {
        name
        for (name, first, *_), one in zip(case.tries, permitted, strict=True)
        if one and TELLING.get(name, first) == first
    }


def disagreements(seen: Observed) -> list[str]:
    """What the judges say otherwise than the tries show, before and after the start."""
    found = []
    for when, raw in (("stopped", seen.stopped), ("running", seen.running)):
        snapshot = _again(raw, seen, running=when == "running")
        failing = named(judge(CONTROL, snapshot))
        for container in containers(snapshot):
            case = seen.cases.get(container.name)
            if case is None or case.profile is None:
                continue
            said = (
                filters.compare_running(container)
                if when == "running"
                else filters.compare_declared(container)
            )
            own = "as given" if when == "stopped" else case.capabilities
            wrong = _wrong(case, seen, said, own, named_in=case.name in failing, running=when == "running")
            found += [f"{case.name} {when}: {text}\n  {json.dumps(case.profile)}" for text in wrong]
    return found


def _wrong(
    case: Case, seen: Observed, said: filters.Filter, own: str, *, named_in: bool, running: bool
) -> Iterator[str]:
    can = possible(case, seen.permitted[case.name])
    default = possible(case, seen.references[own])
    opens = (can - default) & REPORTED
    unlimited = (can - default) & seccomp.LIMITED
    # Conditions that hold for no arguments are not seen, nor that all together hold for any.
    partly = {name for rule in _rules(case) if rule.get("args") for name in _named(rule)}
    claims = set(said.opens)
    if not running:
        # Of rules for some capabilities or kernels it is not known before the start whether they count.
        conditional = any(rule.get("includes") or rule.get("excludes") for rule in _rules(case))
        if not claims <= can | partly or (not conditional and not opens <= claims):
            yield f"said to open {sorted(claims)}, opens {sorted(opens)} with {case.capabilities}"
        if (said.kind is filters.FilterKind.WIDE) != (len(claims) >= _MANY):
            yield f"is {said.kind}, and is said to open {len(claims)} calls"
        if not opens - _in_doubt(case) <= claims:
            yield f"opens {sorted(opens - _in_doubt(case))}, said to open {sorted(claims)}"
        if named_in != bool(claims):
            yield f"{'fails' if named_in else 'passes'}, and is said to open {sorted(claims)}"
        return
    if not opens <= claims <= opens | (partly - default):
        yield f"said to open {sorted(claims)}, opens {sorted(opens)} with {case.capabilities}"
    if all(each.profile for each in seen.cases.values()):
        unlimited -= {"socket"}  # newer engines limit it by default: that has to be seen in a container
    wide = said.kind is filters.FilterKind.WIDE
    if not wide and not unlimited <= set(said.unlimited) <= unlimited | (partly - default):
        yield f"said not to limit {said.unlimited}, does not limit {sorted(unlimited)}"
    if wide != (len(claims) >= _MANY):
        yield f"is {said.kind}, and opens {len(opens)} calls"
    yield from _wrong_counts(case, seen, said)
    same = seen.permitted[case.name] == seen.references[own]
    if said.kind is filters.FilterKind.DEFAULT and not same:
        yield "said to be as the default, and is not"
    if named_in != bool(claims or said.unlimited):
        yield f"{'fails' if named_in else 'passes'}, and opens {sorted(opens | unlimited)}"


def _wrong_counts(case: Case, seen: Observed, said: filters.Filter) -> Iterator[str]:
    calls = _calls(seen.resolved[case.name])
    shown = [name for name, other in seen.cases.items() if other.profile is None]
    default = _calls(seen.resolved[shown[0]]) if shown else None
    if said.calls != calls or said.default_calls != default:
        yield f"said to permit {said.calls} calls of {said.default_calls}, permits {calls} of {default}"
    others = {filters.FilterKind.NARROWER, filters.FilterKind.OTHER}
    narrower = calls is not None and default is not None and calls < default
    if said.kind in others and (said.kind is filters.FilterKind.NARROWER) != narrower:
        yield f"is {said.kind}, and permits {calls} calls of {default}"


def _calls(profile: Mapping[str, Any]) -> int | None:
    """How many calls a profile's rules permit; None where calls are permitted that no rule names."""
    first: dict[str, str] = {}
    some: set[str] = set()
    for rule in _applied(profile):
        for name in rule["names"]:
            if rule.get("args"):
                some |= {name} if rule["action"] in _PASSING else set()
            else:
                first.setdefault(name, rule["action"])
    permitted = {name for name, action in first.items() if action in _PASSING} | some - first.keys()
    return None if profile["defaultAction"] in _PASSING else len(permitted)


def _applied(profile: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rules of a profile without those that do the same as no rule, which the runtime drops."""
    default = (profile["defaultAction"], profile.get("defaultErrnoRet", 1))
    for rule in profile.get("syscalls") or ():
        error = rule.get("errnoRet", 1) if rule["action"] == "SCMP_ACT_ERRNO" else 1
        if (rule["action"], error) != default:
            yield rule


_PASSING = ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG")
_MANY = 20  # calls: a profile that opens more filters next to nothing


def _rules(case: Case) -> list[dict[str, Any]]:
    return [] if case.profile is None else list(_applied(case.profile))


def _in_doubt(case: Case) -> set[str]:
    """The calls for which rules for some capabilities or kernels stand before those for all."""
    certain: set[str] = set()
    doubtful: set[str] = set()
    for rule in _rules(case):
        if rule.get("includes") or rule.get("excludes"):
            doubtful |= set(_named(rule)) - certain
        elif not rule.get("args"):
            certain |= set(_named(rule))
    return doubtful


def _named(rule: Mapping[str, Any]) -> list[str]:
    return list(rule.get("names") or [rule["name"]])


def _again(raw: Any, seen: Observed, *, running: bool) -> Snapshot:
    """The snapshot, with what the collector makes of profiles once more: it is judged as well."""
    again = {**raw, "sources": {**raw["sources"]}}
    source = again["sources"]["docker.containers"]
    entries = []
    for entry in source["data"]:
        name = entry["inspect"]["Name"].lstrip("/")
        made = None
        if running and name in seen.resolved:
            resolved = seen.resolved[name]
            made = {**seccomp_rules.condensed(resolved), **seccomp.meaning(resolved)} if resolved else None
        elif name in seen.cases:
            made = seccomp_rules.declared(json.dumps(seen.cases[name].profile))
        entries.append({**entry, "seccomp": made} if made and name in seen.cases else entry)
    again["sources"]["docker.containers"] = {**source, "data": entries}
    return Snapshot(again)


def opens_more(seen: Observed, name: str) -> bool:
    """Whether a container can make calls that it could not by default."""
    case = seen.cases[name]
    default = seen.references.get(case.capabilities, ())
    return bool(default) and not possible(case, seen.permitted[name]) <= possible(case, default)


def observed(seed: int, number: int) -> Iterator[Observed]:
    """Cases in batches, on an engine of their own."""
    land_calls()
    with scratch("syscalls") as folder, Dockerd(flags=["--iptables=false", "--bridge=none"]) as engine:
        engine.ensure_image()
        stage = Stage(engine, folder, str(seed))
        for begin in range(0, number, BATCH):
            yield stage.batch(begin, min(BATCH, number - begin))
