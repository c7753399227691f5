from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import documents
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import KINDS
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused


def parse(*raw: dict[str, Any], **more: Any) -> documents.Request:
    return documents.parse({"documents": list(raw), **more}, tuple(KINDS))


def file(**fields: Any) -> dict[str, Any]:
    return {"kind": "file", "path": "/etc/x", "content": "", **fields}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "name is missing"),
        ({"name": "No Name"}, "is not a valid name of a document"),
        ({"name": "a", "tasks": []}, "unknown 'tasks'"),
        ({"name": "a", "resources": {}}, "resources is a dict"),
        ({"name": "a", "resources": ["x"]}, r"a: resources\[0\] is not an object"),
        ({"name": "a", "resources": [file(kind="lineinfile")]}, "no kind 'lineinfile'"),
        ({"name": "a", "resources": [file(path="etc/x")]}, "not an absolute, normalised path"),
        ({"name": "a", "resources": [file(path="/etc/../x")]}, "not an absolute, normalised path"),
        ({"name": "a", "resources": [file(path="/etc/x\0")]}, "not an absolute, normalised path"),
        ({"name": "a", "resources": [file(mode=420)]}, "mode is a int, str is needed"),
        ({"name": "a", "resources": [file(mode="rw")]}, "octal string"),
        ({"name": "a", "resources": [file(owner="")]}, "owner or group is empty"),
        ({"name": "a", "resources": [file(source="x")]}, "unknown 'source'"),
        ({"name": "a", "resources": [file(content=b"x")]}, "content is a bytes"),
        ({"name": "a", "activations": [{"name": "reboot", "when": []}]}, "no activation 'reboot'"),
        ({"name": "a", "activations": [{"name": "docker", "when": "/x"}]}, "when is a str"),
        ({"name": "a", "impact": "cheap"}, "a: impact is 'cheap'; known: none, reload"),
        (
            {"name": "a", "activations": [{"name": "docker", "when": ["x"]}]},
            "not an absolute, normalised path",
        ),
    ],
)
def test_an_invalid_document_is_refused_with_the_reason(document: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        parse(document)


def test_duplicate_names_of_documents_are_refused() -> None:
    with pytest.raises(Refused, match="two documents are called a"):
        parse({"name": "a"}, {"name": "a"})


def test_activations_are_merged_and_sorted() -> None:
    request = parse(
        {
            "name": "a",
            "activations": [
                {"name": "docker", "when": ["/a"], "expect": {"info": {"x": 1}}},
                {"name": "systemd-reload", "when": ["/u"]},
            ],
        },
        {
            "name": "b",
            "activations": [{"name": "docker", "when": ["/a", "/b"], "expect": {"info": {"y": 2}}}],
        },
    )
    joined = documents.settings(request.documents, tuple(KINDS))
    assert list(joined) == ["systemd-reload", "docker"]
    assert joined["docker"] == {"when": ["/a", "/b"], "expect": {"info": {"x": 1, "y": 2}}}


def test_contradicting_settings_of_an_activation_are_refused() -> None:
    request = parse(
        {"name": "a", "activations": [{"name": "docker", "expect": {"info": {"x": True}}}]},
        {"name": "b", "activations": [{"name": "docker", "expect": {"info": {"x": False}}}]},
    )
    with pytest.raises(Refused, match=r"b: activation docker.*another document wants"):
        documents.settings(request.documents, tuple(KINDS))


def test_an_unknown_owner_or_group_is_refused() -> None:
    (document,) = parse({"name": "a", "resources": [file(owner="nosuchuser", group="nosuchgroup")]}).documents
    (resource,) = document.resources
    with pytest.raises(Refused, match="no user nosuchuser"):
        resource.uid(0)
    with pytest.raises(Refused, match="no group nosuchgroup"):
        resource.gid(0)


def test_a_refusal_has_the_name_of_the_document() -> None:
    request = parse({"name": "a"}, {"name": "b", "refused": "r"})
    assert request.refused == ["b: r"]
    assert [document.name for document in request.possible] == ["a"]


def test_an_unknown_impact_is_refused() -> None:
    assert parse().allow == "daemon-restart"
    with pytest.raises(Refused, match="the request: allow is 'all'"):
        parse(allow="all")
