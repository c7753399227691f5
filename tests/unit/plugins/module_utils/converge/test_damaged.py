"""What hardener keeps on a host, damaged by a disk or a hand: that is said, and taken for nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import activations, history
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed, Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.release import Release

from tests.unit.plugins.module_utils.converge.guarded import Systemd, change, let_time_pass
from tests.unit.plugins.module_utils.converge.host import Host
from tests.unit.plugins.module_utils.converge.transactions import Recorded, when

OTHERS: dict[type, list[Any]] = {
    str: [None, 7, []],
    int: ["x", None, {}],
    float: ["x", None, {}],
    bool: ["x", None],
    list: [None, {}, "x", [7]],
    dict: [None, [], "x"],
    type(None): [7, "x", []],
}
WHOLE = [b"", b"\0" * 4096, b"{", b"null", b"[]", b"[[]]", b"7", b'"x"', b"{}", b"\xff\xfe{}", b"[" * 100_000]


def damages(document: Any) -> Iterator[bytes]:
    """The document with one value at a time missing or of another type, two levels deep."""
    for key, value in document.items():
        yield json.dumps({name: each for name, each in document.items() if name != key}).encode()
        for other in OTHERS[type(value)]:
            yield json.dumps({**document, key: other}).encode()
        inner = value[0] if isinstance(value, list) and value else value
        if isinstance(inner, dict):
            for below in inner:
                for broken in (
                    {name: each for name, each in inner.items() if name != below},
                    *({**inner, below: other} for other in OTHERS[type(inner[below])]),
                ):
                    changed = [broken, *value[1:]] if isinstance(value, list) else broken
                    yield json.dumps({**document, key: changed}).encode()


@pytest.fixture
def unfinished(host: Host, systemd: Systemd, missing: object, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host with a finished run, and another one that was not confirmed in time."""

    class Mine(Recorded):
        log = host.folder / "hardener.log"

    monkeypatch.setattr(activations, "KINDS", {"systemd-reload": Mine})
    host.write("x", "before")
    host.write("d.json", "{}")
    host.converge(host.json("d.json", {"icc": False}), activations=when(host.path("d.json")))
    change(host)
    let_time_pass(host)
    return host


LOOKS: dict[str, Callable[[Host], object]] = {
    "listed": lambda host: history.reported(host.store),
    "rolled back": lambda host: history.back_to(host.store, before="", who="", check=True),
    "made again": lambda host: host.converge(host.file("x", "other"), check=True),
    "released": lambda host: Release(host.store, role="", check=True, allow="reboot").run(),
}


FILES = ["journal.json", "ownership.json", "{run}/manifest.json", "{run}/result.json", "{old}/journal.json"]


def test_a_damaged_journal_refuses_the_run_and_says_how_to_continue(unfinished: Host) -> None:
    Path(unfinished.store.journal_file).write_bytes(b"{}")
    with pytest.raises(Refused, match=r"journal\.json cannot be read: run is missing: .* move this file"):
        unfinished.converge(unfinished.file("x", "other"))


def test_a_journal_with_an_unknown_activation_refuses_the_run_and_is_kept(unfinished: Host) -> None:
    place = Path(unfinished.store.journal_file)
    journal = json.loads(place.read_bytes())
    activation: Any = {"of-tomorrow": {}}
    place.write_text(json.dumps({**journal, "activations": activation, "memory": activation}))
    with pytest.raises(Refused, match="has begun of-tomorrow, which this version of hardener does not know"):
        unfinished.converge(unfinished.file("x", "other"))
    assert place.exists()


@pytest.mark.parametrize("name", FILES)
def test_no_damaged_record_of_a_run_causes_an_unexpected_exception(unfinished: Host, name: str) -> None:
    host = unfinished
    old, run = host.store.runs()
    place = Path(host.store.folder, name.format(run=f"backups/{run}", old=f"backups/{old}"))
    whole = place.read_bytes()
    tried = 0
    for damaged in [*WHOLE, *damages(json.loads(whole))]:
        place.write_bytes(damaged)
        for what, look in LOOKS.items():
            try:
                look(host)
            except (Refused, Failed):
                continue
            except Exception as error:
                raise AssertionError(f"{what} with {damaged[:200]!r}: {error!r}") from error
        tried += 1
    place.write_bytes(whole)
    assert tried > 20
    assert host.read("x") == "new"
