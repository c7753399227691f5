"""An engine whose containers, images, networks and volumes have a megabyte in every field that takes one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.redact import MAX_TEXT

from hardener.reports.formats import FORMATS
from tests.integration import collector
from tests.integration.dockerd import Dockerd

LARGE = "<&\u202e'\"x" * (1024 * 1024 // 6)
SMALL = "x"


def config(text: str) -> dict[str, Any]:
    """The fields that an image can set."""
    return {
        "Cmd": [text],
        "Entrypoint": [text],
        "Env": [f"A={text}", f"{text}=A"],
        "Healthcheck": {"Test": ["CMD", text]},
        "Labels": {"a": text, text: "a"},
        "Shell": [text],
        "User": text,
        "WorkingDir": f"/{text}",
    }


def of_container(text: str) -> list[dict[str, Any]]:
    """The further fields that a container can set, each alone: the engine limits a request."""
    lines = max(1, len(text) // 40)
    fields: list[dict[str, Any]] = [
        {"Annotations": {"a": text, text: "a"}},
        {"Binds": [f"/tmp:/{text}"]},
        {"CgroupParent": f"/{text}"},
        {"DeviceCgroupRules": ["c 1:3 r"] * lines},
        {"DnsOptions": [text], "DnsSearch": [text]},
        {"ExtraHosts": [f"{text}:127.0.0.1"]},
        {"GroupAdd": [text]},
        {"LogConfig": {"Type": "json-file", "Config": {"tag": text}}},
        {"SecurityOpt": [f"label=type:{text}"]},
        {"Sysctls": {f"net.{text}": "1"}},
        {"Tmpfs": {f"/{text}": ""}},
        {"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}] * lines},
    ]
    return fields


def fill(engine: Dockerd, text: str) -> None:
    """Make an image, containers, networks and a volume with a text in every field."""
    base = engine.create()
    engine.api(
        "POST", f"/commit?container={base}&repo=fields&author={'a' * min(len(text), 500_000)}", config(text)
    )
    for each in of_container(text):
        engine.create(host_config=each)
    own = config(text)
    del own["WorkingDir"]  # the engine would make the folder
    for key, value in {**own, "Domainname": text, "Hostname": text}.items():
        engine.api("POST", "/containers/create", {"Image": "busybox:test", "Cmd": ["true"], key: value})
    engine.create("n" + text.replace("<&\u202e'\"", "a"))
    engine.api(
        "POST", "/networks/create", {"Name": f"n{text}", "Labels": {"a": text}, "Options": {"a": text}}
    )
    options = {"type": "tmpfs", "device": "tmpfs", "o": text}
    engine.api("POST", "/volumes/create", {"Name": "fields", "DriverOpts": options, "Labels": {"a": text}})


def texts(data: Any) -> Iterator[str]:
    """Every text and every name in a document."""
    if isinstance(data, dict):
        yield from data
    for each in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from texts(each)
    if isinstance(data, str):
        yield data


def reports(folder: Path, printed: bytes) -> dict[str, int]:
    """Write every report of a snapshot; return their sizes."""
    folder.mkdir()
    (folder / "snapshot.json").write_bytes(printed)
    wanted = [word for name in FORMATS for word in ("--report", f"{name}=report.{name}")]
    command = [sys.executable, "-m", "hardener", "assess", "snapshot.json", "--quiet", "--exit-zero", *wanted]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    found = {path.name: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    return {name: size for name, size in found.items() if name != "snapshot.json"}


@pytest.mark.slow
def test_a_megabyte_in_every_field_makes_reports_at_most_twice_as_large(tmp_path: Path) -> None:
    found, sizes = {}, {}
    for name, text in (("small", SMALL), ("large", LARGE)):
        with Dockerd() as engine:
            engine.ensure_image()
            fill(engine, text)
            found[name] = collector.collect(engine.socket)
        sizes[name] = reports(tmp_path / name, found[name].printed)
    large = found["large"]
    assert len(large.data("docker.containers")) == len(found["small"].data("docker.containers"))
    assert max(map(len, texts(large.document))) <= MAX_TEXT
    assert len(large.printed) < 16 * 1024 * 1024
    assert {name: size for name, size in sizes["large"].items() if size > 2 * sizes["small"][name]} == {}
    assert len(sizes["large"]) >= len(FORMATS)
