"""The BPF objects of the recorder in the tree."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.hardener.docker.plugins.module_utils import record

FOLDER = Path(record.__file__).with_name("bpf")
OBJECTS = (
    "calls.bpf.o",
    "capabilities_fexit.bpf.o",
    "capabilities_tracepoint.bpf.o",
    "opens.bpf.o",
    "refusals.bpf.o",
)


def test_the_bpf_objects_exist_and_are_small() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.o")) == list(OBJECTS)
    for name in OBJECTS:
        content = (FOLDER / name).read_bytes()
        assert content[:5] == b"\x7fELF\2"
        assert int.from_bytes(content[18:20], "little") == 247  # BPF
        assert len(content) < 40_000
        assert b"Dual BSD/GPL" in content
        assert b"/home/" not in content
        assert b"/tmp/" not in content
