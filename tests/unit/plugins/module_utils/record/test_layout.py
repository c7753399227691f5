"""What the BPF objects count is read as it was written; their structures are those of the C sources."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from ansible_collections.hardener.docker.plugins.module_utils.record import layout

SOURCES = Path(layout.__file__).with_name("bpf")


def test_recorded_system_calls_are_decoded() -> None:
    words = [0] * 16
    words[0], words[7] = 1 << 3, 1 << 63
    key = struct.pack("=Q16sBB6x", 7, b"nginx", 4, 1 | layout.RUNTIME)
    assert layout.calls([(key, struct.pack("=16Q", *words))]) == [
        {"cgroup": 7, "program": "nginx", "phase": 4, "kind": 1, "runtime": True, "numbers": [3, 511]}
    ]


def test_refused_system_calls_are_decoded() -> None:
    entries = [
        (struct.pack("=Q16siHBB", 7, b"nginx", 92, 1, 0, 0), struct.pack("=Q", 5)),
        (struct.pack("=Q16siHBB", 7, b"", 437, 38, 1 | layout.RUNTIME, 1), struct.pack("=Q", 1 << 40)),
    ]
    one, other = layout.refusals(entries)
    assert one == {
        "cgroup": 7,
        "program": "nginx",
        "number": 92,
        "error": 1,
        "kind": 0,
        "runtime": False,
        "by_filter": False,
        "times": 5,
    }
    assert other["times"] == 1 << 40
    assert (other["kind"], other["runtime"], other["by_filter"], other["error"]) == (1, True, True, 38)


def test_names_of_programs_are_escaped() -> None:
    key = struct.pack("=Q16sQQQ", 7, b"\x1b[2J\xff\n", 1 << 40, 2, 3)
    (found,) = layout.capsets([(key, struct.pack("=I", 0b101))])
    assert found["program"] == "\\x1b[2J\\xff\\n"
    assert (found["effective"], found["permitted"], found["inheritable"]) == (1 << 40, 2, 3)
    assert found["phases"] == [0, 2]


def test_executed_programs_are_decoded() -> None:
    key = struct.pack("=Q16s256s", 7, b"sh", b"/bin/sh")
    (found,) = layout.execs([(key, struct.pack("=I", 1))])
    assert (found["path"], found["program"], found["phases"]) == (b"/bin/sh", "sh", [0])


def test_opened_files_are_decoded() -> None:
    keys = [struct.pack("=BB6x256s", 7, folder, path) for folder, path in ((0, b"/etc/x"), (1, b"/etc"))]
    assert layout.reads([(key, b"\1") for key in keys]) == [
        {"slot": 6, "path": b"/etc/x", "folder": False},
        {"slot": 6, "path": b"/etc", "folder": True},
    ]
    used = struct.pack("=16sB7x256s", b"web", 7, b"/run/pid")
    assert layout.uses([(used, struct.pack("=II", 0b10001, 0b10))]) == [
        {"slot": 6, "program": "web", "path": b"/run/pid", "written": [0, 4], "executed": [1]}
    ]


def test_sockets_and_capability_checks_are_decoded() -> None:
    (socket,) = layout.sockets([(struct.pack("=Q16sHB5x", 7, b"a", 10, 1), struct.pack("=I", 2))])
    assert (socket["family"], socket["connect"], socket["phases"]) == (10, True, [1])
    (check,) = layout.capabilities([(struct.pack("=Q16siBBBB", 7, b"a", -1, 21, 6, 0, 1), b"")])
    assert (check["number"], check["capability"], check["phase"], check["level"]) == (-1, 21, 6, 1)


def test_losses_and_the_cgroups_of_each_twin_are_decoded() -> None:
    entries = [(struct.pack("=I", at), struct.pack("=Q", at)) for at in range(6)]
    assert layout.losses(entries)["capability checks"] == 1
    assert "system calls" not in layout.losses(entries)
    cgroups = [(struct.pack("=Q", at), bytes([slot])) for at, slot in ((5, 1), (6, 0), (7, 2), (8, 1))]
    assert layout.wanted(cgroups, 0) == {5, 8}
    assert layout.wanted(cgroups, 1) == {7}
    assert layout.slot(layout.SLOTS - 1) == b"\x40"


def test_keys_have_the_size_that_the_maps_declare() -> None:
    assert len(layout.container_name("a" * 64)) == 64
    assert layout.container_name("a" * 64) == b"a" * 64
    assert len(layout.config(4, unfiltered=True, machine="x86_64")) == 40
    assert layout.config(0, unfiltered=False, machine="riscv64")[8:] == b"\xff" * 32


def test_the_bpf_c_sources_have_the_limits_of_the_python_layout() -> None:
    text = "".join(path.read_text() for path in SOURCES.glob("*.[ch]"))
    assert re.search(r"#define CALLS 1024\b", text)
    assert re.search(r"#define PATH 256\b", text)
    assert re.search(r"#define NAME 64\b", text)
    assert re.search(rf"#define SLOTS {layout.SLOTS}\b", text)
    assert re.search(r"RUNTIME = 16\b", text)
    losses = re.search(r"enum loss \{ (.*), LOSSES \}", text)
    assert losses is not None
    assert len(losses[1].split(",")) == len(layout.LOSSES)
