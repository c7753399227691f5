from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker import answers
from ansible_collections.hardener.docker.plugins.module_utils.docker.answers import (
    EACH,
    SHAPES,
    Incomplete,
    complete,
)

from hardener import catalogue
from hardener.assess import assess
from hardener.model import Status
from hardener.snapshot import Snapshot
from tests.unit import snapshots
from tests.unit.plugins.module_utils.snapshot import engines

if TYPE_CHECKING:
    from ansible_collections.hardener.docker.plugins.module_utils.docker.answers import Shape

BY_PATH = {
    "docker.version": ("/version",),
    "docker.info": ("/info",),
    "docker.containers": ("/containers/json", "/containers/{id}/json"),
    "docker.images": ("/images/json", "/images/{id}/json", "/images/{id}/history"),
    "docker.networks": ("/networks", "/networks/{id}"),
    "docker.volumes": ("/volumes",),
    "docker.plugins": ("/plugins",),
    "docker.swarm": ("/swarm", "/nodes", "/services", "/secrets"),
}
WRONG: Mapping[str, list[Any]] = {
    answers.TEXT: [7, None, [], {}],
    answers.NUMBER: ["7", True, None],
    answers.NUMBER_OR_NULL: ["7", False],
    answers.FLAG: [0, "true", None],
    answers.OBJECT: [[], None, "{}"],
    answers.OBJECT_OR_NULL: [[], "{}"],
    answers.LIST: [{}, None, "[]"],
    answers.LIST_OR_NULL: [{}, "[]"],
}

_NO_LIST: list[Any] = [{}, "[]", 7]


def endpoint(path: str) -> str:
    return re.sub(r"^/(containers|images|networks)/(?!json$)[^/]+", r"/\1/{id}", path)


def spoiled(shape: Shape, value: Any) -> Iterator[tuple[str, Any]]:
    """A document once for everything that it must have: without it, and with something else instead."""
    if isinstance(shape, str):
        yield from (("", each) for each in WRONG[shape])
    elif EACH in shape:
        yield from (("", each) for each in _NO_LIST)
        yield from ((f"[]{place}", [broken, *value[1:]]) for place, broken in spoiled(shape[EACH], value[0]))
    else:
        yield from (("", each) for each in WRONG[answers.OBJECT])
        for key, inner in shape.items():
            yield key, {name: each for name, each in value.items() if name != key}
            for place, broken in spoiled(inner, value[key]):
                yield f"{key}.{place}", {**value, key: broken}


@pytest.mark.parametrize(("name", "api"), engines.RECORDED.items())
def test_answers_of_recorded_engines_are_accepted(name: str, api: str, tmp_path: Path) -> None:
    found = engines.sources(tmp_path, engines.documents(name), api)
    assert {source: entry["state"] for source, entry in found.items()} == dict.fromkeys(BY_PATH, "ok")


@pytest.mark.parametrize("path", SHAPES)
def test_missing_fields_and_wrong_types_are_reported(path: str) -> None:
    document = next(each for known, each in engines.documents().items() if endpoint(known) == path)
    broken = list(spoiled(SHAPES[path], document))
    assert len(broken) >= 4
    complete(path, document)
    for _, each in broken:
        with pytest.raises(Incomplete, match=re.escape(path)):
            complete(path, each)


@pytest.mark.parametrize("source", BY_PATH)
def test_a_source_with_missing_fields_fails_and_no_control_passes(source: str, tmp_path: Path) -> None:
    documents = engines.documents()
    for number, path in enumerate(BY_PATH[source]):
        known = [each for each in documents if endpoint(each) == path][-1]
        broken = list(spoiled(SHAPES[path], documents[known]))
        for place, each in (broken[0], broken[len(broken) // 2], broken[-1]):
            folder = tmp_path / f"{number}{abs(hash(place))}"
            folder.mkdir(exist_ok=True)
            found = engines.sources(folder, {**documents, known: each})
            assert (place, found[source]["state"]) == (place, "failed")
            assert path in found[source]["error"]
    assert not _passing({source: snapshots.failed()}) - _passing({})


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'"x"', b"7", b'{"Id":"a"', b"[{}]", b"[[]]", b""])
def test_an_engine_with_one_answer_to_all_requests_gives_no_fact(body: bytes, tmp_path: Path) -> None:
    known = dict.fromkeys(engines.documents(), body)
    found = engines.sources(tmp_path, known)
    assert {name: entry["state"] for name, entry in found.items()} == dict.fromkeys(BY_PATH, "failed")
    failed = {name: snapshots.failed(entry["error"]) for name, entry in found.items()}
    assert not _passing(failed) - _passing({})


@pytest.mark.parametrize(
    ("source", "path"), [("docker.containers", "/containers/json"), ("docker.images", "/images/json")]
)
def test_an_empty_list_fails_its_source_if_the_engine_counts_objects(
    source: str, path: str, tmp_path: Path
) -> None:
    documents = {**engines.documents(), path: []}
    (tmp_path / "some").mkdir()
    found = engines.sources(tmp_path / "some", documents)
    assert "although /info counts some objects" in found[source]["error"]
    documents["/info"] = {**documents["/info"], "Containers": 0, "Images": 0}
    assert engines.sources(tmp_path, documents)[source]["data"] == []


def _passing(changes: Mapping[str, Any]) -> set[str]:
    """The controls that pass on a Debian 13 host with these sources."""
    snapshot: Snapshot = snapshots.make(**changes)
    assessment = assess(
        Snapshot(json.loads(json.dumps(snapshot.raw))),
        catalogue.load(catalogue.DEFAULT_BENCHMARK),
        benchmark=catalogue.DEFAULT_BENCHMARK,
    )
    return {finding.control.slug for finding in assessment.findings if finding.status is Status.PASS}


@pytest.mark.parametrize(
    "body", [b'{"Config":' + b"[" * 70_000 + b"]" * 70_000 + b"}", b" " * 200_000], ids=["deep", "large"]
)
def test_an_unreadable_image_does_not_affect_others(
    body: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ansible_collections.hardener.docker.plugins.module_utils.docker.api.Connection.get_all",
        _with_limit(150_000),
    )
    documents = engines.documents()
    known = next(path for path in documents if path.startswith("/images/sha256") and path.endswith("/json"))
    documents["/images/json"] = [{"Id": "hostile"}, *documents["/images/json"]]
    documents["/images/hostile/json"] = body
    documents["/images/hostile/history"] = [{"Id": "x", "CreatedBy": "RUN x", "Comment": ""}]
    found = engines.sources(tmp_path, documents)["docker.images"]
    hostile, other = found["data"][:2]
    assert hostile["inspect"] == {"Id": "hostile", "Config": None}
    assert hostile["error"]
    assert other["inspect"]["Id"] == documents[known]["Id"]
    snapshot = snapshots.make(**{"docker.images": found["data"]})
    assessment = assess(
        snapshot, catalogue.load(catalogue.DEFAULT_BENCHMARK), benchmark=catalogue.DEFAULT_BENCHMARK
    )
    images = {f.control.slug: f for f in assessment.findings if f.control.slug.startswith("image-")}
    assert not {slug for slug, each in images.items() if each.status is Status.PASS}
    judged = images["image-non-root-user"]
    assert judged.status is Status.FAIL  # by the other one; of the hostile one it says why not
    assert any("hostile: could not be judged" in line for line in judged.verdict.evidence)


def _with_limit(limit: int) -> Any:
    from ansible_collections.hardener.docker.plugins.module_utils.docker.api import Connection

    get_all = Connection.get_all
    return lambda self, paths, _=0: get_all(self, paths, limit)
