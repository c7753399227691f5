"""Count the same events by a bpftrace script, where the BPF objects cannot be loaded.

The script takes its commands from this process through the kernel: ``prctl`` with an option that no kernel
knows fails, and the script, which sees every system call, reads the arguments. So a phase begins, and a
container is wanted, between two calls, as with the BPF objects; nothing from outside is part of the script.
Only this process knows the token that commands begin with.

bpftrace is a child that the kernel kills when this process ends for any reason. Its programs are attached as
long as it lives, and pinned nowhere.
"""

from __future__ import annotations

import ctypes
import json
import os
import posixpath
import re
import secrets
import select
import time
from collections import defaultdict
from typing import Any, Callable, Iterable, Iterator, Mapping

from ..host import limits
from ..host.errors import Failed, describe
from ..host.run import PATH, find_program
from ..host.text import one_line
from . import layout, mounts, recorder, tools
from .source import Source
from .text import shown

_TOOL = "bpftrace"
_TRACEPOINT = b"\0btf_trace_cap_capable\0"  # a type that kernels with this tracepoint have
_OPTION = 0x48524431  # of prctl; one that no kernel knows
_WANT, _PHASE, _READ = 1, 2, 3
_MAPS = ("calls", "execs", "capsets", "sockets", "capabilities", "slots")  # by the bits of a reading
_MOST = 1 << 16  # entries of a map
_LONGEST_PATH = 200
_STARTED = 120.0  # seconds until it must be attached
_ANSWERED = 60.0
_LOOK = 0.05
_MAX_ANSWER = 64 << 20
_MAX_ERRORS = 1 << 16
_NUMBER_OF_CALLS = 1024
_ENVIRONMENT = {
    "PATH": PATH,
    "LC_ALL": "C",
    "HOME": "/",
    "BPFTRACE_MAX_MAP_KEYS": str(_MOST),
    "BPFTRACE_MAX_STRLEN": str(_LONGEST_PATH),
}
_IDENTITY = re.compile(r"[0-9a-f]{64}")
# bpftrace prints a byte above 127 as \uffffffXX; a backslash of the text is doubled.
_HIGH_BYTE = re.compile(rb"(\\\\)|\\uffffff([89a-f][0-9a-f])")

# `$slot` is 0: not known yet, 1: of no wanted container, else that of the container plus 2. `$settings` is
# the phase, plus 256 where the containers have no filter. A program that was executed behind the filter is in
# `@ran` with all that it starts: until then a task with the name of the runtime is the runtime's.
_RECORDED = """\
  if ($slot > 1) {
    $task = (struct task_struct *)curtask;
    $settings = @settings[$slot];
    $phase = $settings & 255;
    $runtime = (comm == "runc" || comm == "crun" || strncmp(comm, "runc:", 5) == 0) && !@ran[$task->pid];
    if ($settings > 255 ? !$runtime : $task->seccomp.mode == 2) {"""
# The name of a program and a path come last in a key, since they may contain commas.
_SCRIPT = """\
rawtracepoint:sys_enter
{
  $registers = (struct pt_regs *)arg0;
  if (arg1 == PRCTL && (uint64)$registers->si == (uint64)TOKEN) {
    $what = (uint64)$registers->dx;
    $which = (uint64)$registers->r10;
    $value = (uint64)$registers->r8;
    if ($what == WANT) { @wanted[str(uptr($which), 65)] = $value; }
    if ($what == PHASE) { @settings[$which] = $value; }
    if ($what == READ) {
PRINTS
      printf("%d", $which);
    }
  }
  $slot = @slots[cgroup];
  if ($slot == 0) {
    $name = ((struct task_struct *)curtask)->cgroups->dfl_cgrp->kn->name;
    $slot = @wanted[str($name, 65)];
    if ($slot == 0) { $slot = @wanted[str($name + 7, 65)]; }
    if ($slot == 0) { $slot = (uint64)1; }
    @slots[cgroup] = $slot;
  }
RECORDED
      $number = (uint64)arg1 & 0xbfffffff;
      $kind = (uint64)0;
      if (arg1 & 0x40000000) { $kind = (uint64)2; }
      if ($task->thread_info.status & 2) { $kind = (uint64)1; }
      @calls[cgroup, $phase, $kind, $runtime, $number, comm] = 1;
      if (!$runtime) { @now[$task->pid] = ($kind << 32) | ($number + 1); }
      $first = (uint64)$registers->di;
      $second = (uint64)$registers->si;
      $capset = (uint64)CAPSET;
      $socket = (uint64)SOCKET;
      $connect = (uint64)CONNECT;
      if ($kind == 1) {
        $first = (uint64)$registers->bx & 0xffffffff;
        $second = (uint64)$registers->cx & 0xffffffff;
        $capset = (uint64)NARROWCAPSET;
        $socket = (uint64)NARROWSOCKET;
        $connect = (uint64)NARROWCONNECT;
        if ($number == NARROWSOCKETCALL && ($first == 1 || $first == 3)) {
          $number = $first == 1 ? $socket : $connect;
          $words = $second;
          $first = (uint64)*(uint32 *)uptr($words);
          $second = (uint64)*(uint32 *)uptr($words + 4);
        }
      }
      if (!$runtime && $number == $socket) {
        @sockets[cgroup, $phase, $first & 65535, 0, comm] = 1;
      }
      if (!$runtime && $number == $connect) {
        @sockets[cgroup, $phase, (uint64)*(uint16 *)uptr($second), 1, comm] = 1;
      }
      if (!$runtime && $number == $capset) {
        $sets = $second;
        $effective = (uint64)*(uint32 *)uptr($sets);
        $permitted = (uint64)*(uint32 *)uptr($sets + 4);
        $inheritable = (uint64)*(uint32 *)uptr($sets + 8);
        if (*(uint32 *)uptr($first) != 0x19980330) {
          $effective = $effective | ((uint64)*(uint32 *)uptr($sets + 12) << 32);
          $permitted = $permitted | ((uint64)*(uint32 *)uptr($sets + 16) << 32);
          $inheritable = $inheritable | ((uint64)*(uint32 *)uptr($sets + 20) << 32);
        }
        @capsets[cgroup, $phase, $effective, $permitted, $inheritable, comm] = 1;
      }
    }
  }
}

rawtracepoint:sched_process_exec
{
  $slot = @slots[cgroup];
RECORDED
      if ($task->seccomp.mode == 2) { @ran[$task->pid] = 1; }
      $program = (struct linux_binprm *)arg2;
      @execs[cgroup, $phase, str($program->filename, LONGEST)] = 1;
      @execs[cgroup, $phase, str($program->interp, LONGEST)] = 1;
    }
  }
}

rawtracepoint:sched_process_fork
{
  if (@ran[((struct task_struct *)arg0)->pid]) { @ran[((struct task_struct *)arg1)->pid] = 1; }
}

rawtracepoint:sched_process_exit
{
  delete(@ran, ((struct task_struct *)arg0)->pid);
  delete(@now, ((struct task_struct *)arg0)->pid);
}
"""
_CHECK = """
PROBE
{
  $slot = @slots[cgroup];
RECORDED
      if (!$runtime && GRANTED && (uint64)CREDENTIALS == (uint64)$task->real_cred) {
        $level = (uint64)((struct user_namespace *)NAMESPACE)->level;
        @capabilities[cgroup, $phase, @now[$task->pid], $level, (uint64)CAPABILITY, comm] = 1;
      }
    }
  }
}
"""
_CHECKS = {
    "tracepoint": {
        "PROBE": "rawtracepoint:cap_capable",
        "GRANTED": "(int32)arg4 == 0",
        "CREDENTIALS": "arg0",
        "NAMESPACE": "arg1",
        "CAPABILITY": "arg3",
    },
    "fexit": {
        "PROBE": "fexit:vmlinux:cap_capable",
        "GRANTED": "retval == 0 && (args.opts & 2) == 0",
        "CREDENTIALS": "args.cred",
        "NAMESPACE": "args.targ_ns",
        "CAPABILITY": "args.cap",
    },
}
# The script reads the registers of these architectures, and the numbers of their calls.
_PRCTL = {"x86_64": 157}
# In the order of ``layout.NUMBERS``.
_NUMBERS = ("CAPSET", "SOCKET", "CONNECT", "SOCKETCALL")
_CALLS = (*_NUMBERS, *(f"NARROW{name}" for name in _NUMBERS))


def script(token: int, machine: str, way: str) -> str:
    """Return the bpftrace script for an architecture.

    Args:
        token: the number that commands begin with.
        machine: the architecture.
        way: how capability checks are counted; empty for not at all.

    Raises:
        Failed: there is no script for this architecture.
    """
    if machine not in _PRCTL:
        raise Failed(f"there is no script for the architecture {machine}")
    prints = [
        f"      if ($value & {1 << bit}) {{ print(@{name}); }}"
        for bit, name in enumerate(_MAPS)
        if way or name != "capabilities"
    ]
    words: dict[str, object] = {
        "RECORDED": _RECORDED,
        "PRINTS": "\n".join(prints),
        "TOKEN": token,
        "WANT": _WANT,
        "PHASE": _PHASE,
        "READ": _READ,
        "LONGEST": _LONGEST_PATH,
        "PRCTL": _PRCTL[machine],
        **dict(zip(_CALLS, layout.NUMBERS[machine])),
        **_CHECKS.get(way, {}),
    }
    text = _SCRIPT + _CHECK if way else _SCRIPT
    return re.sub(r"\b[A-Z]{4,}\b", lambda found: str(words[found[0]]), text)


class Bpftrace(Source):
    """A running bpftrace with the script.

    Args:
        fetch_into: a folder for a bpftrace that is fetched if the host has none; empty to fetch none.
        seconds: after which it ends, whatever happens.

    Raises:
        Absent: there is no bpftrace, and none may be fetched.
        Failed: it cannot attach the script.
    """

    kind = title = "bpftrace"

    def __init__(self, *, fetch_into: str = "", seconds: int) -> None:
        super().__init__()
        reason = recorder.unusable()
        if reason:
            raise Failed(reason)
        mounts.leave()
        tool = tools.provide(_TOOL, fetch_into)
        self._path = find_program(tool) or tool
        self._token = secrets.randbits(62)
        self._turn = 0
        self._losses: dict[str, str] = {}  # why some of a kind of events were lost
        with open(recorder.TYPES, "rb") as file:
            way = "tracepoint" if _TRACEPOINT in file.read() else "fexit"
        try:
            self._child = self._start(way, seconds)
            self.capabilities_by = way
        except Failed as error:
            self.problems.append(f"bpftrace cannot count capability checks: {describe(error)}")
            self._child = self._start("", seconds)

    def want(self, identity: str, slot: int = 0) -> None:
        """Start to count the events of a container."""
        if not _IDENTITY.fullmatch(identity):
            raise Failed(f"{shown(identity, 100)} is not a container id")
        name = ctypes.create_string_buffer(identity.encode("ascii"))
        self._command(_WANT, ctypes.addressof(name), slot + 2)

    def phase(self, name: str, *, unfiltered: bool = False, slot: int = 0) -> None:
        """Count events for this phase from now on."""
        self._command(_PHASE, slot + 2, layout.PHASES.index(name) | unfiltered << 8)

    def cgroups(self, slot: int = 0) -> set[int]:
        """Return the cgroups that the containers of a slot had."""
        return {int(key) for key, value in self._ask("slots")["slots"].items() if value == slot + 2}

    def losses(self) -> list[str]:
        """Return the kinds of events that were lost, with reasons."""
        return [f"some of the {name} were lost, because {why}" for name, why in sorted(self._losses.items())]

    def read(self) -> dict[str, list[dict[str, Any]]]:
        """Return all counts, by map."""
        found = self._ask(*_DECODERS)
        return {name: self._decoded(name, found[name]) for name in _DECODERS}

    def read_one(self, name: str) -> list[dict[str, Any]]:
        """Return the counts of one map."""
        return self._decoded(name, self._ask(name)[name])

    def _start(self, way: str, seconds: int) -> _Child:
        """Start bpftrace, and wait until it answers.

        Raises:
            Failed: it cannot attach the script.
        """
        child = _Child(self._path, script(self._token, os.uname().machine, way), seconds)
        deadline = time.monotonic() + _STARTED
        try:
            while time.monotonic() < deadline:
                self._command(_READ, 0, 0)
                if any(_message(line).get("type") == "printf" for line in child.lines(_LOOK)):
                    return child
        except Failed:
            child.end()
            raise
        child.end()
        raise Failed(f"bpftrace has not attached its probes within {_STARTED:g} s")

    def _ask(self, *names: str) -> dict[str, Mapping[str, Any]]:
        """Return maps of the script, which bpftrace prints on command."""
        self._turn += 1
        self._command(_READ, self._turn, sum(1 << _MAPS.index(name) for name in names))
        found: dict[str, Mapping[str, Any]] = {name: {} for name in names}
        for line in self._child.lines(_ANSWERED):
            message = _message(line)
            data = message.get("data")
            if message.get("type") == "printf" and data == str(self._turn):
                return found
            if message.get("type") == "map" and isinstance(data, dict):
                found.update({name[1:]: each for name, each in data.items() if isinstance(each, dict)})
        raise Failed("bpftrace does not answer")

    def _decoded(self, name: str, entries: Mapping[str, Any]) -> list[dict[str, Any]]:
        try:
            found = _DECODERS[name](entries)
        except (ValueError, IndexError) as error:
            raise Failed(f"bpftrace's answer cannot be read: {describe(error)}") from None
        if len(entries) >= _MOST:
            self._losses[_NAMES[name]] = "a map was full"
        elif any(len(each.get("path", b"")) >= _LONGEST_PATH - 1 for each in found):
            self._losses.setdefault(_NAMES[name], "a path was too long")
        return found

    def _command(self, what: int, which: int, value: int) -> None:
        """Send a command to the script."""
        words = (ctypes.c_ulong(each) for each in (self._token, what, which, value))
        ctypes.CDLL(None).prctl(_OPTION, *words)


class _Child:
    """A bpftrace process, which ends with its parent."""

    def __init__(self, path: str, text: str, seconds: int) -> None:
        script_file = os.memfd_create("script")
        os.write(script_file, text.encode("ascii"))
        os.lseek(script_file, 0, os.SEEK_SET)
        self._out, out = os.pipe()
        self._errors, errors = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                limits.become_helper(parent, seconds)
                for number, descriptor in enumerate((script_file, out, errors)):
                    os.dup2(descriptor, number)
                os.execve(path, [path, "-f", "json", "-B", "line", "-"], _ENVIRONMENT)  # noqa: S606
            finally:
                os._exit(127)
        for descriptor in (script_file, out, errors):
            os.close(descriptor)
        self._rest: list[bytes] = []  # of a line that is not complete
        self._said = b""  # to standard error

    def lines(self, seconds: float) -> Iterator[bytes]:
        """Yield the lines that bpftrace prints within some seconds.

        Raises:
            Failed: it has ended, or prints too much.
        """
        deadline = time.monotonic() + seconds
        while True:
            remaining = max(0.0, deadline - time.monotonic())
            ready = select.select([self._out, self._errors], [], [], remaining)[0]
            if self._errors in ready:
                self._said = (self._said + os.read(self._errors, _MAX_ERRORS))[-_MAX_ERRORS:]
            if self._out in ready:
                piece = os.read(self._out, 1 << 20)
                if not piece:
                    raise Failed(self._last_words())
                self._rest.append(piece)
                if sum(map(len, self._rest)) > _MAX_ANSWER:
                    raise Failed(f"bpftrace printed more than {_MAX_ANSWER} bytes")
                if b"\n" in piece:
                    *found, rest = b"".join(self._rest).split(b"\n")
                    self._rest = [rest]
                    yield from found
            if not remaining:
                return

    def end(self) -> None:
        """Kill the process."""
        limits.end_helper(self._pid)
        os.waitpid(self._pid, 0)
        os.close(self._out)
        os.close(self._errors)

    def _last_words(self) -> str:
        """Return an error message of bpftrace, or a remark that it ended without one."""
        while select.select([self._errors], [], [], 1.0)[0]:
            piece = os.read(self._errors, _MAX_ERRORS)
            if not piece:
                break
            self._said = (self._said + piece)[-_MAX_ERRORS:]
        lines = self._said.decode("utf-8", "replace").splitlines()
        errors = [line.strip() for line in lines if "ERROR" in line] or lines[-1:]
        return one_line(f"bpftrace: {errors[0]}") if errors else "bpftrace ended without an error message"


def _message(line: bytes) -> dict[str, Any]:
    """Parse a line of bpftrace's output into a message; empty if it is no JSON object.

    Bytes that are no UTF-8 become surrogates, as in names of files.
    """

    def unescaped(found: re.Match[bytes]) -> bytes:
        return found[1] or b"\\udc" + found[2]

    try:
        message = json.loads(_HIGH_BYTE.sub(unescaped, line).decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _numbers(words: Iterable[str]) -> tuple[int, ...]:
    """Return the numbers in a map's key; the second one must be the number of a phase."""
    found = tuple(map(int, words))
    layout.PHASES[found[1]]  # raises if there is no such phase
    return found


def _name(text: str) -> str:
    return shown(os.fsencode(text)) or "?"


def _calls(entries: Iterable[str]) -> list[dict[str, Any]]:
    found: dict[tuple[Any, ...], set[int]] = defaultdict(set)
    for key in entries:
        *words, comm = key.split(",", 5)
        cgroup, phase, kind, runtime, number = _numbers(words)
        if number < _NUMBER_OF_CALLS:
            found[cgroup, "?" if runtime else _name(comm), phase, kind, bool(runtime)].add(number)
    names = ("cgroup", "program", "phase", "kind", "runtime")
    return [{**dict(zip(names, key)), "numbers": sorted(numbers)} for key, numbers in found.items()]


def _execs(entries: Iterable[str]) -> list[dict[str, Any]]:
    found: dict[tuple[int, bytes], set[int]] = defaultdict(set)
    for key in entries:
        *words, path = key.split(",", 2)
        cgroup, phase = _numbers(words)
        found[cgroup, os.fsencode(path)].add(phase)
    return [
        # The kernel names a program after its file.
        {
            "cgroup": cgroup,
            "program": shown(posixpath.basename(path)[:15]) or "?",
            "path": path,
            "phases": sorted(phases),
        }
        for (cgroup, path), phases in found.items()
    ]


def _with_phases(entries: Iterable[str], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return one entry for the map keys (cgroup, phase, named numbers, program) that differ only in phase."""
    found: dict[tuple[Any, ...], set[int]] = defaultdict(set)
    for key in entries:
        *words, comm = key.split(",", len(names) + 2)
        cgroup, phase, *rest = _numbers(words)
        found[(cgroup, _name(comm), *rest)].add(phase)
    return [
        {**dict(zip(("cgroup", "program", *names), key)), "phases": sorted(phases)}
        for key, phases in found.items()
    ]


def _capsets(entries: Iterable[str]) -> list[dict[str, Any]]:
    return _with_phases(entries, ("effective", "permitted", "inheritable"))


def _sockets(entries: Iterable[str]) -> list[dict[str, Any]]:
    return [
        {**each, "connect": each["connect"] == 1} for each in _with_phases(entries, ("family", "connect"))
    ]


def _capabilities(entries: Iterable[str]) -> list[dict[str, Any]]:
    found = []
    for key in entries:
        *words, comm = key.split(",", 5)
        cgroup, phase, call, level, capability = _numbers(words)
        found.append(
            {
                "cgroup": cgroup,
                "program": _name(comm),
                "number": (call & 0xFFFFFFFF) - 1,  # -1: in no call
                "capability": capability,
                "phase": phase,
                "kind": call >> 32,
                "level": level,
            }
        )
    return found


_DECODERS: dict[str, Callable[[Iterable[str]], list[dict[str, Any]]]] = {
    "calls": _calls,
    "execs": _execs,
    "capsets": _capsets,
    "sockets": _sockets,
    "capabilities": _capabilities,
}
_NAMES = {
    "calls": "system calls",
    "execs": "executed programs",
    "capsets": "capset calls",
    "sockets": "sockets",
    "capabilities": "capability checks",
}
