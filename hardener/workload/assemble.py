"""Convert the numeric answer of a host's recorder to a recording. The host may be compromised."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import hardener
from hardener.errors import HardenerError
from hardener.text import line
from hardener.workload import kernel
from hardener.workload.fitting import fitted
from hardener.workload.recording import FORMAT, Recording, build, readable
from hardener.workload.shapes import MAX_SET, PHASES

# In these calls the kernel asks whether a process may use memory reserved for root. The check decides nothing
# else, and always succeeds with SYS_ADMIN. The tracepoint does not distinguish such checks.
_OVERCOMMIT = frozenset(
    {"mmap", "mmap2", "brk", "clone", "clone3", "fork", "vfork", "execve", "execveat", "mprotect", "mremap"}
)
_UNSEEN = "Capability checks could not be recorded: a profile keeps all capabilities."
# Limits of a list: the maximum of a recording, and smaller ones where it would be too large to be read.
_LENGTHS = (MAX_SET, 2000, 400, 80)


def recording(host: str, answer: Mapping[str, Any]) -> Recording:
    """Convert an answer to a recording.

    Raises:
        HardenerError: it is not what a recorder answers.
    """
    try:
        document = _document(answer)
        for most in (_LENGTHS[0], *_LENGTHS):
            found = build(fitted(document, most), name=line(host))
            if readable(found.dump().encode()):
                break
            document["files"]["used_by"] = None  # it is left out before anything is cut
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, OSError) as error:
        raise HardenerError(
            f"{line(host)}: the recorder's answer cannot be read: {line(str(error) or type(error).__name__)}",
            hint="record the container again",
        ) from error
    return found


def _document(answer: Mapping[str, Any]) -> dict[str, Any]:
    machine = str(answer["host"]["architecture"])
    level = 1 if answer["host"]["userns_remap"] and answer["container"]["userns_mode"] != "host" else 0
    base = answer["base"]
    return {
        "format": FORMAT,
        "hardener": hardener.__version__,
        "began": _moment(answer["began"]),
        "ended": _moment(answer["ended"]),
        "host": answer["host"],
        "container": answer["container"],
        "twin": {"network": answer["network"], "companions": answer["companions"]},
        "recorder": {
            "complete": answer["complete"],
            "missing": [*answer["missing"], *([_UNSEEN] if _unseen(answer) else [])],
            "unseen": _unseen(answer),
        },
        "phases": answer["phases"],
        "calls": _calls(answer["calls"], machine),
        "runtime_calls": _runtime_calls(answer["calls"], machine),
        "runtime_base": None
        if base is None
        else {
            "calls": [kernel.name(machine, number) for number in base["calls"]],
            "no_new_privileges": [kernel.name(machine, number) for number in base["no_new_privileges"]],
            "starts": base["starts"],
        },
        "capabilities": _capabilities(answer, machine, level),
        "file_capabilities": [
            {
                "path": path,
                "program": answer["executed"][path],
                "capabilities": kernel.capabilities(found["capabilities"]),
                "effective": found["effective"],
            }
            for path, found in answer["programs"].items()
            if found.get("capabilities")
        ],
        "capset": _capsets(answer["capsets"]),
        "setuid": [
            {"path": path, "uid": found["uid"], "gid": found["gid"]}
            for path, found in answer["programs"].items()
            if found["uid"] is not None or found["gid"] is not None
        ],
        "identities": _identities(answer["identities"]),
        "files": {
            **answer["files"],
            "executed": sorted(answer["executed"]),
            "read": None if answer["read"] is None else sorted(set(answer["read"])),
            "used_by": None
            if answer["used_by"] is None
            else {path: _use(**each) for path, each in answer["used_by"].items()},
            "owners": answer["owners"],
            "folders": answer["folders"],
            "shell": answer["shell"],
        },
        "network": {
            "families": _families(each for each in answer["sockets"] if not each["connect"]),
            "listens": answer["listens"],
            "ports": answer["ports"],
            "connects": any(each["connect"] and each["family"] in (2, 10) for each in answer["sockets"]),
        },
        "granted": answer["granted"],
        "peak": answer["peak"],
        "pids_limit": answer["pids_limit"],
    }


def _unseen(answer: Mapping[str, Any]) -> list[str]:
    return [] if answer["capabilities_by"] else ["capabilities"]


def _calls(entries: Iterable[Mapping[str, Any]], machine: str) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for entry in entries:
        if entry["runtime"]:
            continue
        architecture = kernel.architecture(machine, entry["kind"])
        for number in entry["numbers"]:
            call = found[architecture].setdefault(
                kernel.name(architecture, number), {"phases": set(), "programs": set()}
            )
            call["phases"].add(PHASES[entry["phase"]])
            call["programs"].add(entry["program"])
    return {
        architecture: {
            name: {"phases": list(call["phases"]), "programs": list(call["programs"])}
            for name, call in calls.items()
        }
        for architecture, calls in found.items()
    }


def _runtime_calls(entries: Iterable[Mapping[str, Any]], machine: str) -> dict[str, Any]:
    found: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        if entry["runtime"]:
            for number in entry["numbers"]:
                found[kernel.name(machine, number)].add(PHASES[entry["phase"]])
    return {name: {"phases": list(phases)} for name, phases in found.items()}


def _capabilities(answer: Mapping[str, Any], machine: str, level: int) -> list[dict[str, Any]]:
    found: dict[tuple[str, str | None, str], set[str]] = defaultdict(set)
    inheriting = {entry["program"] for entry in answer["capsets"] if entry["inheritable"]}
    for entry in answer["capabilities"]:
        if entry["level"] != level:
            continue  # of a namespace that the container created, or of the host's
        architecture = kernel.architecture(machine, entry["kind"])
        call = kernel.name(architecture, entry["number"]) if entry["number"] >= 0 else None
        name = kernel.capability(entry["capability"])
        unaudited = answer["capabilities_by"] == "tracepoint" and (call is None or call in _OVERCOMMIT)
        if name == "CAP_SYS_ADMIN" and unaudited:
            continue
        if (name, call) == ("CAP_SETPCAP", "capset") and entry["program"] not in inheriting:
            continue  # the kernel asks at each capset, and needs it for inheritable capabilities alone
        found[name, call, entry["program"]].add(PHASES[entry["phase"]])
    return [
        {"name": name, "call": call, "program": program, "phases": list(phases)}
        for (name, call, program), phases in found.items()
    ]


def _capsets(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    sets = ("effective", "permitted", "inheritable")
    return [
        {"program": entry["program"], **{name: kernel.capabilities(entry[name]) for name in sets}}
        for entry in entries
    ]


def _families(entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        use = found.setdefault(kernel.family(entry["family"]), {"programs": set(), "phases": set()})
        use["programs"].add(entry["program"])
        use["phases"].update(entry["phases"])
    named_first = sorted(found, key=lambda name: ("#" in name, name))
    return {name: _use(**found[name]) for name in named_first}


def _use(programs: Iterable[str], phases: Iterable[int]) -> dict[str, Any]:
    return {"programs": sorted(programs), "phases": [PHASES[number] for number in phases]}


def _identities(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    sets = ("effective", "permitted", "inheritable", "bounding", "ambient")
    return [
        {
            **entry,
            **{name: kernel.capabilities(entry[name]) for name in sets},
            "phases": [PHASES[number] for number in entry["phases"]],
        }
        for entry in entries
    ]


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
