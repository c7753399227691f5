"""Recordings of one container are merged; those of different containers are refused."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any

import pytest

from hardener.errors import HardenerError
from hardener.workload.artefacts import artefacts
from hardener.workload.shapes import PHASES
from tests.unit.workload.engines import DEFAULTS
from tests.unit.workload.made import calls, part, permitted, profile, recorded


def test_data_of_one_recording_is_kept_with_the_number_of_recordings() -> None:
    rare = recorded(calls=calls("read", "mremap"), ended="2026-11-27T10:00:00Z")
    often = [recorded(calls=calls("read"), ended=f"2026-11-27T11:0{number}:00Z") for number in range(3)]
    found = profile(rare, *often)
    assert {"read", "mremap"} <= permitted(found)
    seen = part(found).calls["mremap"].container
    assert seen is not None
    assert (seen.seen_in, found.merged.total) == (1, 4)
    assert part(found).calls["read"].container == type(seen)(programs=("web",), phases=("serve",), seen_in=4)


def test_a_duplicate_recording_is_merged_once() -> None:
    assert profile(recorded(), recorded()).merged.total == 1


def test_the_order_of_recordings_has_no_effect() -> None:
    every = [
        recorded(calls=calls("read"), ended="2026-11-27T10:00:00Z"),
        recorded(calls=calls("chmod", "read"), ended="2026-11-27T11:00:00Z"),
        recorded(calls=calls("bpf"), ended="2026-11-27T12:00:00Z", files__created=["/run/x", "/tmp/y"]),
    ]
    texts = {json.dumps(artefacts(profile(*each).document)) for each in itertools.permutations(every)}
    assert len(texts) == 1


AXES: list[tuple[str, Any, str]] = [
    ("container__digest", "sha256:" + "b" * 64, "image digest was sha256:aaa"),
    ("container__user", "33", "user was nothing and is 33"),
    ("container__entrypoint", ["/other"], "entrypoint was"),
    ("container__command", ["hmac:1"], "command was"),
    ("container__mounts", [], "mounts was"),
    ("container__network_mode", "host", "network mode was bridge and is host"),
    ("container__pid_mode", "host", "pid mode was"),
    ("container__ipc_mode", "host", "ipc mode was"),
    ("container__userns_mode", "host", "userns mode was"),
    ("container__devices", ["/dev/fuse"], "devices was"),
    ("container__sysctls", {"net.a": "1"}, "sysctls was"),
    ("container__security_options", ["seccomp=unconfined"], "security options was"),
    ("container__environment", ["PATH", "NEW"], "environment was"),
    ("container__read_only", True, "read only was False and is True"),
    ("container__privileged", True, "privileged was"),
    ("container__capabilities_added", ["NET_ADMIN"], "capabilities added was"),
    ("container__capabilities_dropped", ["ALL"], "capabilities dropped was"),
    ("container__published", [], "published was"),
    ("host__architecture", "aarch64", "architecture was"),
    ("host__kernel", "6.18.3", "kernel series was 6.12 and is 6.18"),
    ("host__engine", "29.4.0", "engine version was"),
    ("host__runtime", {"name": "crun", "version": "1.21"}, "runtime was runc 1.1.15+ds1 and is crun 1.21"),
    ("host__userns_remap", True, "user namespaces was"),
]


@pytest.mark.parametrize(("key", "value", "message"), AXES, ids=[key for key, _, _ in AXES])
def test_recordings_of_different_containers_are_refused_with_the_differing_property(
    key: str, value: Any, message: str
) -> None:
    with pytest.raises(HardenerError) as error:
        profile(recorded(), recorded(**{key: value}))
    assert str(error.value).startswith(f"0.json and 1.json are not of the same container: {message}")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("container__name", "web-twin"),
        ("container__image", "nginx:latest"),
        ("container__compose", {"project": "a", "service": "b"}),
        ("host__kernel", "6.12.200-other"),
        ("twin__network", "none"),
    ],
)
def test_recordings_are_merged_if_only_data_outside_of_the_identity_differs(key: str, value: Any) -> None:
    assert profile(recorded(), recorded(**{key: value})).merged.total == 2


def test_engines_with_different_defaults_are_refused() -> None:
    other = copy.deepcopy(DEFAULTS["default"])
    other["syscalls"][0]["names"].remove("read")
    with pytest.raises(HardenerError, match=r"default seccomp profile differs between 0\.json, 1\.json"):
        profile(recorded(), recorded(granted__seccomp=other))


def test_a_recording_without_measurements_of_the_engine_permits_no_more_calls() -> None:
    measured = recorded(calls=calls("chroot", "read"))
    for minute in range(10, 26):  # whichever of them has the lower digest
        not_measured = recorded(
            calls=calls("chroot", "read"),
            granted={"capabilities": [], "seccomp": None},
            began=f"2026-11-27T08:{minute}:00Z",
        )
        found = profile(measured, not_measured)
        assert "chroot" not in permitted(found)  # the engine gives it to SYS_CHROOT, which goes
        assert part(found).default_calls == part(profile(measured)).default_calls


def test_each_phase_has_the_number_of_recordings_that_exercised_it() -> None:
    reload = [{"name": "reload", "exercised": True, "reason": "SIGHUP", "seconds": 1.0}]
    found = {each.name: each for each in profile(recorded(), recorded(phases=reload)).merged.exercises}
    assert list(found) == [each for each in PHASES if each != "serve-empty"]
    assert (found["reload"].seen_in, found["reload"].reasons) == (1, ("SIGHUP",))
    assert (found["stop"].seen_in, found["stop"].reasons) == (0, ())
