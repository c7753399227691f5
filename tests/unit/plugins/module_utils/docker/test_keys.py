from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker import config, engine, keys
from ansible_collections.hardener.docker.plugins.module_utils.docker.keys import BY_NAME, KEYS, nri_options

needs_dockerd = pytest.mark.skipif(not shutil.which("dockerd"), reason="asks the dockerd of this machine")
# Flags that dockerd has and does not show, and those that came later than the key they set.
HIDDEN = {"network-diagnostic-port", "restart"}
LATER = {"feature": (27, 3)}


def test_each_key_is_listed_once() -> None:
    assert [name for name, count in Counter(key.name for key in KEYS if key.name).items() if count > 1] == []
    assert not keys.SWITCHES & keys.WITH_VALUE
    assert set(keys.SHORT.values()) <= keys.SWITCHES | keys.WITH_VALUE
    assert {key.kind for key in KEYS} <= {"any", "bool", "dict", "int", "list", "str"}


@pytest.mark.parametrize(
    ("key", "flag"),
    [
        ("containerd-plugin-namespace", "containerd-plugins-namespace"),
        ("insecure-registries", "insecure-registry"),
        ("allow-nondistributable-artifacts", "allow-nondistributable-artifacts"),
        ("host-gateway-ips", "host-gateway-ip"),
        ("runtimes", "add-runtime"),
        ("features", "feature"),
        ("icc", "icc"),
        ("proxies", ""),
        ("a-key-of-tomorrow", "a-key-of-tomorrow"),
    ],
)
def test_a_key_is_mapped_to_the_name_of_its_flag(key: str, flag: str) -> None:
    assert keys.flag_of(key) == flag


def test_each_default_has_the_type_of_its_key() -> None:
    assert keys.default_of("icc") is True
    assert keys.default_of("data-root") == "/var/lib/docker"
    assert keys.default_of("shutdown-timeout") == 15
    assert keys.default_of("labels") is keys.default_of("a-key-of-tomorrow") is None
    types = {"bool": bool, "int": int, "str": str}
    assert all(type(key.default) is types[key.kind] for key in KEYS if key.default is not None)


def test_every_reloadable_key_has_a_default_value() -> None:
    assert {name: keys.RELOADABLE[name] for name in ("debug", "labels", "max-concurrent-uploads")} == {
        "debug": False, "labels": [], "max-concurrent-uploads": 5,
    }  # fmt: skip
    assert None not in keys.RELOADABLE.values()
    assert "icc" not in keys.RELOADABLE


@pytest.mark.parametrize("started", [None, 0, 1000])
@pytest.mark.parametrize("modified", [None, 0, *range(997, 1006)])
def test_a_file_modified_at_least_three_seconds_after_the_start_is_changed_since_it(
    started: int | None, modified: int | None
) -> None:
    assert keys.changed_since(started, modified) is (started == 1000 and (modified or 0) > 1002)


def test_a_key_that_conflicts_with_a_flag_is_mapped_to_this_flag() -> None:
    assert keys.exclusive_flag("runtimes") == ""
    assert keys.exclusive_flag("hosts") == "host"
    assert (
        keys.exclusive_flag("label") == ""
    )  # the flag's name, which the engine takes in the file and ignores
    assert keys.exclusive_flag("proxy") == "proxy"


@pytest.mark.parametrize(
    ("key", "version", "since"),
    [
        ("firewall-backend", "26.1.5+dfsg1", "29.0"),
        ("firewall-backend", "29.0.0-rc.1", ""),
        ("apparmor-profile", "29.7.2", "29.8"),
        ("default-stop-timeout", "29.6.0", "29.7"),
        ("nri-opts", "29.1.0", "29.2"),
        ("nri-opts", "29.10.0", ""),
        ("icc", "19.03.0", ""),
        ("a-key-of-tomorrow", "26.1.5", ""),
        ("firewall-backend", "", ""),
        ("firewall-backend", "dev", ""),
    ],
)
def test_the_first_engine_version_of_a_key_is_returned_for_older_engines_only(
    key: str, version: str, since: str
) -> None:
    assert keys.unknown_before(key, version) == since


def test_a_key_is_known_from_its_first_to_its_last_version() -> None:
    assert [version for version in range(19, 30) if BY_NAME["graph"].in_version((version, 0))] == [
        19, 20, 21, 22, 23,
    ]  # fmt: skip
    assert BY_NAME["nri-opts"].in_version((29, 2, 1))
    assert not BY_NAME["nri-opts"].in_version((29, 1, 9))


@pytest.mark.parametrize("name", ["log-opts", "hosts"])
def test_keys_of_lists_and_objects_have_flags_that_can_be_repeated(name: str) -> None:
    assert BY_NAME[name].is_list
    assert not BY_NAME["icc"].is_list


@needs_dockerd
def test_the_table_has_the_flags_that_dockerd_shows_and_their_types() -> None:
    text = subprocess.run(["dockerd", "--help"], capture_output=True, text=True, check=True).stdout
    shown = dict(re.findall(r"^\s+(?:-\w, )?--([\w-]+)(?: (\S+))?", text, re.MULTILINE))
    ours = {
        key.flag: key
        for key in KEYS
        if key.flag and key.in_version(installed()) and LATER.get(key.flag, (0, 0)) <= installed()
    }
    assert len(shown) > 80
    assert set(ours) - HIDDEN == set(shown)
    assert {flag for flag in shown if not shown[flag]} == {flag for flag in shown if ours[flag].is_switch}
    short = dict(re.findall(r"^\s+-(\w), --([\w-]+)", text, re.MULTILINE))
    assert short.items() <= keys.SHORT.items()


@needs_dockerd
def test_dockerd_knows_the_keys_of_its_version_and_no_others(tmp_path: Path) -> None:
    config = tmp_path / "daemon.json"
    # An object that it does not know is taken for a group of keys.
    objects = {name for name, key in BY_NAME.items() if key.kind == "dict" and key.in_version(installed())}
    config.write_text(json.dumps({name: {} if name in objects else True for name in BY_NAME}))
    command = ["dockerd", "--validate", f"--config-file={config}"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    unknown = re.findall(r"don't match any configuration option: (.*)", said)[0].split(", ")
    others = {name for name, key in BY_NAME.items() if not key.in_version(installed())}
    # It looks for a flag of the key's own name, which this one has not: it can only be set by its flag.
    assert set(unknown) == others | {"containerd-plugin-namespace"}


@cache
def installed() -> tuple[int, ...]:
    said = subprocess.run(["dockerd", "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, re.findall(r"version (\d+)\.(\d+)", said)[0]))


@pytest.mark.parametrize(
    ("words", "value", "origin"),
    [
        ({"icc": ["false"]}, False, "--icc"),
        ({"icc": ["true", "F"]}, False, "--icc"),  # the last one counts
        ({"icc": ["perhaps"]}, "perhaps", "--icc"),
        ({"mtu": ["1450"]}, 1450, "--mtu"),
        ({"mtu": ["1.5e3"]}, "1.5e3", "--mtu"),
        ({"mtu": ["\u0663"]}, "\u0663", "--mtu"),
        ({"log-level": ["debug", "info"]}, "info", "--log-level"),
        ({"insecure-registry": ["a", "b"]}, ["a", "b"], "--insecure-registry"),
        ({"log-opt": ["max-size=1m"]}, ["max-size=1m"], "--log-opt"),
    ],
)
def test_a_flag_sets_the_declared_value_of_its_key(
    words: dict[str, list[str]], value: object, origin: str
) -> None:
    (name,) = (key.name for key in KEYS if key.flag in words)
    file = {name: "of the file", "labels": ["x"]}
    assert keys.declared(file, words) == {
        name: {"value": value, "origin": origin},
        "labels": {"value": ["x"], "origin": "file"},
    }
    assert keys.conflicts(file, words) == [name]


@pytest.mark.parametrize("key", [key for key in KEYS if key.name and key.flag], ids=lambda key: key.name)
def test_every_key_is_declared_by_its_flag_or_by_the_file(key: keys.Key) -> None:
    said, _ = config.parse_flags([f"--{key.flag}=7"])
    assert keys.declared({}, said)[key.name]["origin"] == f"--{key.flag}"
    assert keys.declared({key.name: None}, {}) == {key.name: {"value": None, "origin": "file"}}
    assert keys.conflicts({key.name: 7}, said) == ([] if key.name == "runtimes" else [key.name])
    assert keys.conflicts({key.name: 7}, {}) == keys.conflicts({}, said) == []


@pytest.mark.parametrize("name", sorted(key.name for key in KEYS if key.name and key.flag and key.is_switch))
@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("=1", True),
        ("", True),
        ("=T", True),
        ("=True", True),
        ("=0", False),
        ("=F", False),
        ("=FALSE", False),
        ("=yes", "yes"),
        ("=true =false", False),
        ("=f =1", True),
    ],
)
def test_every_spelling_of_a_boolean_sets_a_switch(name: str, words: str, value: object) -> None:
    found = engine.Engine()
    found.flags, unknown = config.parse_flags([f"--{BY_NAME[name].flag}{word}" for word in words.split(" ")])
    found.config = {"parsed": {name: not value}}
    assert found.declared(name) == value
    assert unknown == []


def test_boolean_keys_nested_in_an_object_of_any_name_are_read() -> None:
    file = {
        "mine": {"icc": False, "live-restore": "true", "debug": 1, "mtu": 1400},
        "icc": True,
        "log-opts": {"experimental": True},
    }
    found = keys.declared(file, {})
    assert found["icc"]["value"] is True
    assert found["live-restore"] == {"value": True, "origin": keys.FILE}
    assert found["debug"]["value"] is True
    assert not {"mtu", "experimental"} & found.keys()
    assert keys.conflicts(file, {"mtu": ["1"], "debug": ["true"]}) == ["debug", "mtu"]


def test_flags_without_a_key_declare_no_value() -> None:
    said, _ = config.parse_flags(["--config-file=/x", "--http-proxy", "p", "--validate"])
    assert keys.declared({"a-key-of-tomorrow": 1}, said) == {
        "a-key-of-tomorrow": {"value": 1, "origin": "file"}
    }


@pytest.mark.parametrize(
    ("declared", "options"),
    [
        (None, {}),
        ({}, {}),
        ([], {}),
        ({"enable": True, "socket-path": "/x"}, {"enable": True, "socket-path": "/x"}),
        (["enable=true,socket-path=/x"], {"enable": "true", "socket-path": "/x"}),
        (["enable=true", "socket-path=/x=y"], {"enable": "true", "socket-path": "/x=y"}),
        (["enable"], {"enable": ""}),
        ([7, None], {"7": "", "None": ""}),
        ("enable=true", None),
        (1, None),
        (True, None),
    ],
)
def test_nri_options_are_read_from_an_object_or_a_list(declared: Any, options: dict[str, Any] | None) -> None:
    assert nri_options(declared) == options
