"""What profiles leave open."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import seccomp

ALLOW = "SCMP_ACT_ALLOW"
STRICT = {"names": ["read", "mount"], "action": "SCMP_ACT_ALLOW"}


@pytest.mark.parametrize(
    ("profile", "found"),
    [
        ({"defaultAction": "SCMP_ACT_ALLOW"}, sorted(seccomp.REFUSED)),
        ({"defaultAction": "SCMP_ACT_LOG", "syscalls": None}, sorted(seccomp.REFUSED)),
        ({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [STRICT]}, ["mount"]),
        ({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{**STRICT, "args": [{"index": 0}]}]}, []),
        ({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{**STRICT, "includes": {"caps": ["X"]}}]}, []),
        (
            {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"name": "bpf", "action": ALLOW}]},
            ["bpf"],
        ),
        (
            {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": sorted(seccomp.REFUSED - {"keyctl"}), "action": "SCMP_ACT_ERRNO"}],
            },
            ["keyctl"],
        ),
    ],
)
def test_open(profile: dict[str, Any], found: list[str]) -> None:
    assert seccomp.declared(json.dumps(profile)) == {"default": profile["defaultAction"], "open": found}


@pytest.mark.parametrize("text", ["unconfined", "", "[", "[]", "/etc/profile.json", "[" * 100_000])
def test_what_is_no_profile(text: str) -> None:
    assert seccomp.declared(text) is None


def test_the_profile_in_force_is_read_from_the_bundle(tmp_path: Path) -> None:
    for number, action in enumerate(("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_ERRNO")):
        folder = tmp_path / f"daemon/io.containerd.runtime.v2.task/moby/c{number}"
        folder.mkdir(parents=True)
        config = {"linux": {"namespaces": [], "seccomp": {"defaultAction": action}, "maskedPaths": []}}
        (folder / "config.json").write_text(json.dumps(config, separators=(",", ":")))
    (tmp_path / "daemon/io.containerd.runtime.v2.task/moby/c4").mkdir()
    (tmp_path / "daemon/io.containerd.runtime.v2.task/moby/c4/config.json").write_text('{"linux":{}}')
    engine: Any = SimpleNamespace(
        setting={"containerd": f"{tmp_path}/containerd.sock"}.get, environment={}, euid=0, rootless=False
    )
    bundles = seccomp.Bundles(engine)
    found = [bundles.effective(name) for name in ("c0", "c1", "c2", "c3", "c4")]
    assert [each and each["default"] for each in found] == [
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_ERRNO",
        None,
        None,
    ]
