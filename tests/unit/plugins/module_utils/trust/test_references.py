from __future__ import annotations

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.trust import references

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("team/app", "docker.io/team/app"),
        ("index.docker.io/library/nginx", "docker.io/library/nginx"),
        ("localhost/app", "localhost/app"),
        ("127.0.0.1:5000/app:1", "127.0.0.1:5000/app:1"),
        (f"r.example.com/a/b@{DIGEST}", f"r.example.com/a/b@{DIGEST}"),
        (f"r.example.com/a:1@{DIGEST}", f"r.example.com/a:1@{DIGEST}"),
        ("[::1]:5000/app", "[::1]:5000/app"),
        ("r.example.com:65535/app", "r.example.com:65535/app"),
    ],
)
def test_a_reference_is_expanded(text: str, spelled: str) -> None:
    assert str(references.parse(text)) == spelled


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":1",
        "a b",
        "r.example.com/../x",
        "r.example.com/A",
        "r.example.com/a?x=1",
        "r.example.com/a:1\r\nHost: x",
        "r.example.com/a@sha256:1",
        "user@r.example.com/a",
        "r.example.com:x/a",
        "127.0.0.1:99999/a",
        "127.0.0.1:65536/a",
        "127.0.0.1:0/a",
        "a" * 600,
    ],
)
def test_an_invalid_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an image reference"):
        references.parse(text)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("docker.io/library/nginx:1", "nginx:1"),
        ("index.docker.io/team/app", "team/app"),
        ("r.example.com/library/app:1", "r.example.com/library/app:1"),
    ],
)
def test_all_spellings_of_an_image_name_are_listed(text: str, short: str) -> None:
    assert references.forms(text) == [text, str(references.parse(text)), short]
    assert references.forms(short)[2] == short
    assert references.forms("sha256:1 x") == ["sha256:1 x"]
    assert references.forms(DIGEST) == [DIGEST]


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("r.example.com", "r.example.com"),
        ("r.example.com/", "r.example.com"),
        ("r.example.com:5000/team", "r.example.com:5000/team"),
        ("docker.io", "docker.io"),
        ("docker.io/library", "docker.io/library"),
        ("docker.io/library/nginx", "docker.io/library/nginx"),
        ("index.docker.io/team", "docker.io/team"),
        ("nginx", "docker.io/library/nginx"),
        ("localhost", "localhost"),
    ],
)
def test_a_repository_prefix_is_expanded(text: str, spelled: str) -> None:
    assert references.prefix(text) == spelled


@pytest.mark.parametrize("text", ["", "/", "a b", "r.example.com/a:1", f"r.example.com/a@{DIGEST}", "*"])
def test_an_invalid_repository_prefix_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        references.prefix(text)
