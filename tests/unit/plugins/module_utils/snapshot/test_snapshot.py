"""The snapshot of whatever machine the tests run on, with or without an engine, as the schema wants it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from ansible_collections.hardener.docker.plugins.module_utils.contract import COLLECT_LIMIT, beside
from ansible_collections.hardener.docker.plugins.module_utils.host import run
from ansible_collections.hardener.docker.plugins.module_utils.host.once import Once
from ansible_collections.hardener.docker.plugins.module_utils.host.redact import Redactor
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import (
    containers,
    docker,
    main,
    standalone,
)
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.scheduler import encode
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.sources import EngineSources
from hypothesis import given
from hypothesis import strategies as st

from hardener import snapshot
from hardener.snapshot import Snapshot
from tests.unit import snapshots
from tools import collector

SCHEMA = json.loads((Path(snapshot.__file__).parent / "snapshot.schema.json").read_text(encoding="utf-8"))


def problems(document: Any) -> list[str]:
    """What the schema has against a document, by the part of it that is wrong."""
    errors = jsonschema_rs.Draft202012Validator(SCHEMA).iter_errors(document)
    return [told for error in errors for told in reasons(error)]


def reasons(error: jsonschema_rs.ValidationError) -> list[str]:
    """An error, or of one that no alternative fits what is wrong with the alternative that fits best."""
    alternatives = getattr(error.kind, "context", None)
    if not alternatives:
        where = "/".join(map(str, error.instance_path))
        return [f"{where}: {error.message[-200:]}"]
    deepest = max(alternatives, key=lambda errors: min(len(each.instance_path) for each in errors))
    return [told for each in deepest for told in reasons(each)]


def test_time_limits_of_sources_are_shorter_than_the_limits_that_contain_them() -> None:
    """A time limit within another one is shorter: else a source that hangs takes others with it."""
    once = Once(lambda: None)
    plan = [*standalone.plan(), *EngineSources(once, once, once, Redactor()).plan()]
    sources = {name: limit for name, _, limit in plan}
    assert max(sources.values()) < main.REST_LIMIT
    assert max(main.FIND_LIMIT, docker.LIMIT) < sources["engine"] == sources["files"]
    assert min(sources.values()) > run.TIMEOUT <= once._limit
    assert main.FIND_LIMIT < containers.LIMIT > docker.LIMIT
    longest = main.FIND_LIMIT + max(main.REST_LIMIT, containers.LIMIT + containers.MOUNTS_LIMIT)
    assert longest + 30 < COLLECT_LIMIT  # the whole is put together and compressed in the rest


def test_a_fact_that_the_schema_lacks_is_named(printed: Any) -> None:
    system = printed["sources"]["system"]
    more = {**system, "data": {**system["data"], "moon": "full"}}
    told = problems({**printed, "sources": {**printed["sources"], "system": more}})
    assert len(told) == 1
    assert told[0].startswith("sources/system/data: ")
    assert "'moon'" in told[0]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Run the collector by hand, on a socket that nobody listens on."""
    path = tmp_path_factory.mktemp("collector") / "host_snapshot.pyz"
    collector.make(path)
    return [sys.executable, "-I", str(path), "--socket=/nonexistent/docker.sock"]


@pytest.fixture(scope="module")
def printed(command: list[str]) -> Any:
    """What it prints."""
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def test_a_snapshot_collected_by_hand_is_valid(printed: Any) -> None:
    assert problems(printed) == []
    assert Snapshot(printed).collected_at == printed["collected_at"]
    assert printed["sources"]["system"]["state"] == "ok"
    assert printed["sources"]["mounts"]["data"]


def test_sources_of_a_missing_engine_are_failed_or_absent(printed: Any) -> None:
    for name in ("docker.info", "docker.containers", "docker.images"):
        entry = printed["sources"][name]
        assert entry["state"] in ("failed", "absent")
        assert entry["error"] in (
            "no Docker engine is installed",
            "/nonexistent/docker.sock: No such file or directory",
        )


def test_the_collector_file_is_reproducible(tmp_path: Path) -> None:
    made = [tmp_path / name for name in ("one.pyz", "another.pyz")]
    for path in made:
        collector.make(path)
    assert made[0].read_bytes() == made[1].read_bytes()


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("/dev/full", "cannot print the snapshot: No space left on device"),
        (None, "cannot print the snapshot: there is no standard output"),
    ],
)
def test_a_snapshot_that_cannot_be_printed_is_an_error_of_one_line(
    command: list[str], where: str | None, told: str
) -> None:
    shell = ["sh", "-c", '"$@" ' + (f">{where}" if where else ">&-"), "-", *command]
    done = subprocess.run(shell, check=False, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, f"{told}\n")


def test_the_schema_has_every_source() -> None:
    plan = [*standalone.plan(), *EngineSources(*[None] * 4).plan()]  # type: ignore[arg-type]
    assert sorted(name for name, _, _ in plan) == sorted(main.REST)
    assert set(SCHEMA["properties"]["sources"]["properties"]) == {*main.REST, "docker.containers"}


def test_the_snapshot_that_the_checks_are_tested_with_is_valid() -> None:
    assert problems(snapshots.make().raw) == []


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("files", {"/a": {"mode": 420}}),
        ("files", {"/a": {"mode": "rw-"}}),
        ("engine", {"reachable": "yes"}),
        ("engine", {"unheard_of": 1}),
        ("docker.containers", [{"inspect": {}, "proc": None}]),
        ("listening", [{"proto": "sctp"}]),
        ("docker.swarm", {"worker": False, "local": {}, "swarm": {"JoinTokens": {}}}),
    ],
)
def test_the_schema_refuses_invalid_snapshots(source: str, wrong: Any) -> None:
    raw = json.loads(json.dumps(snapshots.make().raw))
    entry = raw["sources"][source]
    raw["sources"][source] = {
        "state": "ok",
        "ms": 0,
        "data": wrong if isinstance(wrong, list) else {**entry.get("data", {}), **wrong},
    }
    assert problems(raw)


def test_a_lone_surrogate_does_not_invalidate_the_snapshot() -> None:
    assert (
        main._without_lone_surrogates('{"a":"\\ud800x","b":"\\ud83d\\ude00"}')
        == '{"a":"?x","b":"\\ud83d\\ude00"}'
    )
    assert main._without_lone_surrogates('{"a":"\\u2603"}') == '{"a":"\\u2603"}'


@given(st.text(st.sampled_from('\\"ud8cef0123\ud800\udbff\udc00\udfff😀x')))
def test_only_lone_surrogates_are_replaced(text: str) -> None:
    whole = json.loads(main._without_lone_surrogates(json.dumps(text)))
    # JSON itself makes a pair of two halves that stand together.
    assert whole == json.loads(json.dumps(text)).encode("utf-8", "replace").decode()


JSON = st.recursive(st.none() | st.text(max_size=5) | st.integers(), lambda each: st.lists(each, max_size=3))


@given(st.lists(JSON, max_size=3), st.lists(JSON, max_size=3))
def test_elements_are_appended_to_an_encoded_list(one: list[Any], more: list[Any]) -> None:
    entry = f'{{"state":"ok","ms":1,"data":{encode(one)}}}'
    assert json.loads(main._with_elements(entry, encode(more))) == {
        "state": "ok",
        "ms": 1,
        "data": [*one, *more],
    }


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=3), st.dictionaries(st.text(max_size=5), JSON))
def test_members_are_added_to_an_encoded_object(one: dict[str, Any], more: dict[str, Any]) -> None:
    more = {key: value for key, value in more.items() if key not in one}
    entry = f'{{"state":"ok","ms":1,"data":{encode(one)}}}'
    assert json.loads(main._with_elements(entry, encode(more)))["data"] == {**one, **more}
    for other in (main._LOST, '{"state":"absent","ms":0,"error":"x"}'):
        assert main._with_elements(other, encode(more)) == other


def test_sources_of_a_process_that_gave_no_answer_are_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lost:
        def __init__(self, *_: object) -> None:
            pass

        def result(self) -> dict[str, str]:
            return {}

    monkeypatch.setattr(main, "Helper", Lost)
    collected = main.collect({"socket": "/nonexistent/docker.sock"})
    document = json.loads(beside(collected, {"host": "h", "policy": {}}))
    assert problems(document) == []
    assert document["sources"]["files"]["error"] == "the process that read it was lost"
    assert document["collector"]["secrets_cut"] is True


@pytest.mark.parametrize(("word", "code"), [("--help", 0), ("--sockets=/x", 2), ("x", 2)])
def test_a_word_other_than_its_option_prints_the_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], word: str, code: int
) -> None:
    monkeypatch.setattr(sys, "argv", ["host_snapshot.pyz", word])
    with pytest.raises(SystemExit) as caught:
        main.main()
    assert caught.value.code == code
    assert "usage: host_snapshot.pyz [--socket=PATH]" in capsys.readouterr().err
