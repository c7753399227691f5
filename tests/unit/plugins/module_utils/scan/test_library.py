from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.scan import library
from ansible_collections.hardener.docker.plugins.module_utils.scan.files import TooLarge

IDENTITY = "sha256:" + "ab" * 32


class FakeEngine:
    """An engine whose image has its layers here; of containers it makes none."""

    def __init__(self, *folders: Path) -> None:
        data = {"UpperDir": str(folders[0]), "LowerDir": ":".join(map(str, folders[1:]))}
        self.driver = {"Name": "overlay2", "Data": data}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        if method != "GET":
            raise Failed("the engine was asked for a container")
        return {"GraphDriver": self.driver}


def test_layers_are_read_from_disk(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    engine: Any = FakeEngine(tmp_path)
    assert library.read(engine, IDENTITY, lambda files: {"x": files.read("/file")}) == {"x": b"x"}


def test_an_unreadable_layer_is_exported_by_the_engine_unless_it_is_too_large(
    tmp_path: Path,
) -> None:
    engine: Any = FakeEngine(tmp_path)
    for error, reason in ((Failed("a layer is odd"), "asked for a container"), (TooLarge("huge"), "huge")):

        def take(_: object, error: Failed = error) -> dict[str, Any]:
            raise error

        with pytest.raises(Failed, match=reason):
            library.read(engine, IDENTITY, take)


@pytest.mark.parametrize(
    "driver",
    [
        None,
        {"Name": "overlayfs", "Data": None},
        {"Name": "vfs", "Data": {"UpperDir": "/"}},
        {"Name": "overlay2", "Data": {"UpperDir": "/nothing/here"}},
        {"Name": "overlay2", "Data": {"UpperDir": "tmp"}},
        {"Name": "overlay2", "Data": {"UpperDir": "/", "LowerDir": ":".join(["/"] * 200)}},
    ],
)
def test_unsupported_layer_folders_are_not_read(driver: Any) -> None:
    assert library.layer_folders({"GraphDriver": driver}) == []


def test_placeholder_names_of_images_are_dropped() -> None:
    entry = {"Id": IDENTITY, "RepoTags": ["a:1", "<none>:<none>"], "RepoDigests": ["<none>@x", "a@x"]}
    engine: Any = type("", (), {"call": lambda *_: [entry, entry]})()
    assert library.listed(engine) == [library.Image(IDENTITY, ("a:1", "a@x"))]
    entry["Id"] = "sha256:../../x"
    with pytest.raises(Failed, match="without a usable id"):
        library.listed(engine)
