"""The versions of runtimes, and the paths of their programs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker.runtimes import paths, version

KEY = "org.opencontainers.runtime-spec.features"
VERSIONS = {"Components": [{"Name": "Engine", "Version": "26.1.5"}, {"Name": "runc", "Version": "1.1.15"}]}


def info(name: str, text: str) -> dict[str, Any]:
    return {"Runtimes": {name: {"path": f"/usr/bin/{name}", "status": {KEY: text}}}}


def features(**annotations: str) -> str:
    return json.dumps({"ociVersionMin": "1.0.0", "annotations": annotations})


def test_the_version_of_the_default_runtime_is_read_from_the_engines_components() -> None:
    other = info("runc", features(**{"org.opencontainers.runc.version": "9"}))
    assert version("runc", other, VERSIONS) == "1.1.15"


@pytest.mark.parametrize(
    ("name", "key"),
    [("crun", "run.oci.crun.version"), ("second-runc", "org.opencontainers.runc.version")],
)
def test_the_version_of_another_runtime_is_read_from_its_features(name: str, key: str) -> None:
    annotations = {"io.github.seccomp.libseccomp.version": "2.6.0", key: "1.21"}
    assert version(name, info(name, features(**annotations)), VERSIONS) == "1.21"


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"Runtimes": None},
        {"Runtimes": {"crun": {"path": "crun"}}},  # before Docker 25
        info("crun", "no JSON"),
        info("crun", "[" * 100_000),
        info("crun", '{"annotations": null}'),
        info("crun", features()),
    ],
)
def test_a_version_that_is_not_reported_is_empty(told: dict[str, Any]) -> None:
    assert version("crun", told, VERSIONS) == ""
    assert version("crun", told, {"Components": ["crun", None]}) == ""


def test_paths_of_runtimes_are_read_from_a_key_in_lower_or_upper_case() -> None:
    declared = {"a": {"path": "/a"}, "b": {"Path": "/b", "runtimeArgs": []}, "c": {}, "d": "/d"}
    assert paths(declared) == ["/a", "/b"]
    assert paths(None) == []
