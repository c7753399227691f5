from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.hardener.docker.plugins.module_utils.render import docker_engine
from ansible_collections.hardener.docker.plugins.module_utils.render.hostview import HostView

from hardener.snapshot import Snapshot
from tests.unit.apt_hosts import AptHost, needs_apt
from tests.unit.plugins.loading import ROLES
from tests.unit.plugins.module_utils.render.rendering import documents_of
from tests.unit.snapshots import make, no_engine, only, silent_engine

PREFIX = "docker_engine_"
KEYS = Path(__file__).parents[3] / "data" / "openpgp"
ONE = "5E7E1B68F5EF872EDFAA49CF69296BD75DA8A16D"
TWO = "C19436E5711A3BFB1A4989B971EF0696B925E6C4"
CURVE = "4B2839BAFEB405DC6190372C979CD4A9EBD1D42C"
HOLDS = [f"/etc/systemd/system/docker.{kind}.d/hardener-hold.conf" for kind in ("service", "socket")]

DEBIAN_12 = {"ID": "debian", "VERSION_ID": "12", "VERSION_CODENAME": "bookworm"}
DEBIAN_13 = {"ID": "debian", "VERSION_ID": "13", "VERSION_CODENAME": "trixie"}
DEBIAN_TESTING = {"ID": "debian", "VERSION_CODENAME": "forky"}
UBUNTU = {"ID": "ubuntu", "ID_LIKE": "debian", "VERSION_ID": "24.04", "VERSION_CODENAME": "noble"}
FEDORA = {"ID": "fedora", "VERSION_ID": "43"}
AMAZON = {
    "ID": "amzn",
    "ID_LIKE": "fedora",
    "VERSION_ID": "2023",
    "PRETTY_NAME": "Amazon Linux 2023.6",
}
ROCKY = {
    "ID": "rocky",
    "ID_LIKE": "rhel centos fedora",
    "VERSION_ID": "9.6",
    "PRETTY_NAME": "Rocky Linux 9.6",
}


def bare(release: dict[str, str] = DEBIAN_13, **system: str) -> Snapshot:
    """A host without an engine."""
    sources = no_engine().raw["sources"]
    raw = {**sources["system"]["data"], "init": "systemd", **system, "os": release}
    return Snapshot(
        {**no_engine().raw, "sources": {**sources, "system": {"state": "ok", "ms": 1, "data": raw}}}
    )


def held() -> Snapshot:
    """A host whose engine is installed, and kept from starting."""
    unit = silent_engine().raw["sources"]["units"]["data"]["docker.service"]
    sources = silent_engine().raw["sources"]
    engine = {**sources["engine"]["data"], "socket": "/run/docker.sock"}
    units = {"docker.service": {**unit, "DropInPaths": [HOLDS[0]]}}
    return make(engine=only(engine), units=units)


def variables(**changed: Any) -> dict[str, Any]:
    defaults = yaml.safe_load((ROLES / "docker_engine/defaults/main.yml").read_text())
    return {**{key.removeprefix(PREFIX): value for key, value in defaults.items()}, **changed}


def documents(snapshot: Snapshot, **changed: Any) -> dict[str, dict[str, Any]]:
    """The role's documents by name, for its defaults but for some."""
    found = documents_of("docker_engine")(snapshot.raw, **variables(**changed))
    return {document["name"]: document for document in found}


def packages(snapshot: Snapshot, **changed: Any) -> dict[str, Any]:
    found: dict[str, Any] = docker_engine.packages(snapshot.raw, variables(**changed))
    return found


def key(name: str) -> str:
    return (KEYS / f"{name}.asc").read_text()


def files(document: dict[str, Any]) -> dict[str, str]:
    return {resource["path"]: resource["content"] for resource in document["resources"]}


# --- which state a host is in -------------------------------------------------------------------------------


def test_a_host_with_an_engine_is_not_changed() -> None:
    for snapshot in (make(), silent_engine()):
        assert docker_engine.state(HostView(snapshot.raw)) == "there"
        assert documents(snapshot) == {}


def test_before_the_installation_the_engine_is_prevented_from_starting() -> None:
    assert docker_engine.state(HostView(bare().raw)) == "missing"
    (hold,) = documents(bare()).values()
    assert sorted(files(hold)) == HOLDS
    # The file is its own condition: whoever removes it lets the engine go, with or without a daemon-reload.
    condition = f"[Unit]\nConditionPathExists=!{HOLDS[0]}\n"
    assert all(content.endswith(condition) for content in files(hold).values())
    assert hold["activations"] == [{"name": "systemd-reload", "when": HOLDS}]


def test_a_held_engine_is_released_and_started() -> None:
    assert docker_engine.state(HostView(held().raw)) == "held"
    (start,) = documents(held()).values()
    assert start["resources"] == [{"kind": "absent", "path": path} for path in HOLDS]
    reload, docker = start["activations"]
    assert (reload["name"], reload["when"]) == ("systemd-reload", HOLDS)
    assert docker == {"name": "docker", "start": True}


# --- what is installed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "source", "client", "engine"),
    [
        (DEBIAN_12, "distribution", True, ["docker.io"]),
        (DEBIAN_13, "distribution", True, ["docker.io", "docker-cli"]),
        (DEBIAN_13, "distribution", False, ["docker.io"]),
        (DEBIAN_TESTING, "distribution", True, ["docker.io", "docker-cli"]),
        (UBUNTU, "distribution", True, ["docker.io"]),
        (FEDORA, "distribution", True, ["moby-engine"]),
        (AMAZON, "distribution", True, ["docker"]),
        (DEBIAN_12, "docker-ce", True, ["docker-ce", "docker-ce-cli", "containerd.io"]),
        (ROCKY, "docker-ce", True, ["docker-ce", "docker-ce-cli", "containerd.io"]),
        (ROCKY, "docker-ce", False, ["docker-ce", "containerd.io"]),
    ],
)
def test_each_distribution_has_its_packages(
    release: dict[str, str], source: str, client: bool, engine: list[str]
) -> None:
    found = packages(bare(release), source=source, client=client, extra_packages=["docker-compose"])
    family = "dnf" if release in (FEDORA, AMAZON, ROCKY) else "apt"
    more = ["apparmor", "ca-certificates"] if family == "apt" else []
    assert found == {"manager": family, "install": [*engine, *more, "docker-compose"], "hold": []}


def test_packages_are_held_on_request() -> None:
    assert packages(bare(), hold=True)["hold"] == ["docker.io", "docker-cli"]


def test_dnf_gets_the_version_in_the_package_name() -> None:
    found = packages(bare(ROCKY), source="docker-ce", version="29.1.2")
    assert found["install"] == ["docker-ce-29.1.2", "docker-ce-cli-29.1.2", "containerd.io"]


def test_apt_is_pinned_to_one_version() -> None:
    content = files(documents(bare(), version="26.1.5*")["docker_engine_version"])
    assert content == {
        "/etc/apt/preferences.d/hardener-docker-1-version": (
            "# Written by hardener: apt keeps this version.\n"
            "Package: docker.io docker-cli\nPin: version 26.1.5*\nPin-Priority: 990\n"
            "\n"
            "Package: docker.io docker-cli\nPin: release *\nPin-Priority: -1\n"
        )
    }


@pytest.mark.parametrize(
    ("snapshot", "changed", "reason"),
    [
        (bare(init="runit"), {}, "does not run on this host"),
        (bare({"ID": "arch", "PRETTY_NAME": "Arch Linux"}), {}, "Arch Linux is neither"),
        (bare(ROCKY), {}, "Rocky Linux 9.6 has no package of Docker: set docker_engine_source"),
        (
            bare(AMAZON),
            {"source": "docker-ce"},
            "has no repository for Amazon Linux 2023.6: set docker_engine_source",
        ),
        (bare(FEDORA), {"hold": True}, "versionlock"),
        (bare(), {"version": "1\nPackage: *"}, "docker_engine_version is"),
        (bare(), {"version": "-1"}, "docker_engine_version is"),
    ],
)
def test_unsupported_installations_are_refused(
    snapshot: Snapshot, changed: dict[str, Any], reason: str
) -> None:
    refused = [document.get("refused", "") for document in documents(snapshot, **changed).values()]
    assert reason in " ".join(refused)


# --- Docker's own repository --------------------------------------------------------------------------------

REPOSITORY = {
    "source": "docker-ce",
    "repository_url": "https://mirror.example.org/linux/debian",
    "repository_key": key("one"),
    "repository_fingerprint": ONE,
}


def test_the_apt_repository_provides_the_engine_only() -> None:
    content = files(documents(bare(arch="aarch64"), **REPOSITORY)["docker_engine_source"])
    assert content["/etc/apt/keyrings/hardener-docker.asc"] == key("one")
    assert content["/etc/apt/sources.list.d/hardener-docker.sources"] == (
        "# Written by hardener.\n"
        "Types: deb\n"
        "URIs: https://mirror.example.org/linux/debian\n"
        "Suites: trixie\n"
        "Components: stable\n"
        "Architectures: arm64\n"
        "Signed-By: /etc/apt/keyrings/hardener-docker.asc\n"
    )
    assert content["/etc/apt/preferences.d/hardener-docker-source"] == (
        "# Written by hardener: only these packages are installed from this repository.\n"
        "Package: docker-ce docker-ce-cli containerd.io\nPin: origin mirror.example.org\nPin-Priority: 500\n"
        "\n"
        "Package: *\nPin: origin mirror.example.org\nPin-Priority: -1\n"
    )


@needs_apt
@pytest.mark.parametrize(
    ("version", "candidate"),
    [
        ("", "5:29.9.0-1"),
        ("5:29.7.1-1", "5:29.7.1-1"),
        ("5:29.7*", "5:29.7.2-1"),
        ("5:28*", "(none)"),
    ],
)
def test_apt_installs_the_wanted_version_from_the_repository_and_nothing_else(
    tmp_path: Path, version: str, candidate: str
) -> None:
    apt = AptHost(tmp_path, installed={"curl": "8.0-1"})
    apt.write(documents(bare(), version=version, **REPOSITORY).values())
    offered = [
        (name, number)
        for name in ("docker-ce", "docker-ce-cli")
        for number in ("5:29.7.1-1", "5:29.7.2-1", "5:29.9.0-1")
    ]
    more = [("containerd.io", "2.2.5-1"), ("containerd.io", "2.2.9-1"), ("curl", "9.0-1")]
    release = {"Origin": "Docker", "Codename": "trixie", "Components": "stable"}
    apt.fetch(REPOSITORY["repository_url"], release, [*offered, *more])
    assert [apt.candidate(name) for name in ("docker-ce", "docker-ce-cli")] == [candidate] * 2
    assert apt.candidate("containerd.io") == "2.2.9-1"
    assert apt.candidate("curl") == "8.0-1"
    if candidate != "(none)":
        assert apt.installs("docker-ce") == {("docker-ce", candidate)}


@needs_apt
def test_apt_installs_the_wanted_version_of_the_distributions_packages(tmp_path: Path) -> None:
    apt = AptHost(tmp_path, installed={})
    apt.write(documents(bare(), version="26.1.5*").values())
    release = {"Origin": "Debian", "Codename": "trixie", "Components": "main"}
    apt.fetch(
        "http://mirror.example.org/debian", release, [("docker.io", "26.1.5-9"), ("docker.io", "28.5.2-1")]
    )
    assert apt.installs("docker.io") == {("docker.io", "26.1.5-9")}


def test_the_dnf_repository_provides_the_engine_only() -> None:
    address = {"repository_url": "https://mirror.example.org/linux/centos/"}
    content = files(documents(bare(ROCKY), **{**REPOSITORY, **address})["docker_engine_source"])
    assert content["/etc/pki/rpm-gpg/hardener-docker.asc"] == key("one")
    assert content["/etc/yum.repos.d/hardener-docker.repo"] == (
        "# Written by hardener: only these packages are installed from this repository.\n"
        "[hardener-docker]\n"
        "name=Docker\n"
        "baseurl=https://mirror.example.org/linux/centos/$releasever/$basearch/stable\n"
        "enabled=1\n"
        "gpgcheck=1\n"
        "gpgkey=file:///etc/pki/rpm-gpg/hardener-docker.asc\n"
        "includepkgs=docker-ce docker-ce-cli containerd.io\n"
    )


def test_the_distributions_packages_need_no_repository() -> None:
    assert list(documents(bare(), repository_url="https://mirror.example.org/x")) == ["docker_engine"]


def test_a_fingerprint_may_be_written_as_gpg_shows_it() -> None:
    spaced = " ".join(ONE[at : at + 4] for at in range(0, len(ONE), 4)).lower()
    found = documents(bare(), **{**REPOSITORY, "repository_fingerprint": spaced})
    assert "refused" not in found["docker_engine_source"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"repository_fingerprint": TWO}, f"exactly the key {TWO}, and holds {ONE}"),
        ({"repository_fingerprint": ""}, "exactly the key 9DC858229FC7DD38854AE2D88D81803C0EBFCD88"),
        ({"repository_key": key("both")}, f"and holds {ONE}, {TWO}"),
        ({"repository_key": ""}, "and holds none that can be read"),
        ({"repository_url": ""}, "docker_engine_repository_url has to be"),
        ({"repository_url": "http://mirror.example.org/x"}, "https"),
        ({"repository_url": "https://mirror.example.org/x\nTrusted: yes"}, "https"),
        ({"repository_url": "https://mirror.example.org/x [trusted=yes]"}, "https"),
        ({"repository_url": "https://user:secret@mirror.example.org/x"}, "https"),
        ({"repository_suite": "trixie\nTrusted: yes"}, "docker_engine_repository_suite is"),
        ({"repository_channel": "stable test"}, "docker_engine_repository_channel is"),
    ],
)
def test_an_unsafe_repository_definition_is_refused(changed: dict[str, str], reason: str) -> None:
    (_, source) = documents(bare(), **{**REPOSITORY, **changed}).values()
    assert reason in source["refused"]
    assert "secret" not in source["refused"]


# --- keys ---------------------------------------------------------------------------------------------------


def armor(*packets: bytes) -> str:
    text = base64.encodebytes(b"".join(packets)).decode()
    return f"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{text}-----END PGP PUBLIC KEY BLOCK-----\n"


def packet(tag: int, body: bytes = b"\x04rest") -> bytes:
    return bytes([0xC0 | tag, len(body)]) + body


@pytest.mark.parametrize(("name", "found"), [("one", [ONE]), ("both", [ONE, TWO]), ("ec", [CURVE])])
def test_fingerprints_are_those_that_gpg_shows(name: str, found: list[str]) -> None:
    assert docker_engine.fingerprints(key(name)) == found
    assert docker_engine.fingerprints(key(name).replace("\n", "\r\n")) == found
    with_version = key(name).replace("BLOCK-----\n", "BLOCK-----\nVersion: GnuPG v2\n", 1)
    assert docker_engine.fingerprints(with_version) == found


@pytest.mark.parametrize(
    "armored",
    [
        "",
        "ssh-ed25519 AAAA",
        key("one") + key("ec"),
        key("one") + "Trusted: yes\n",
        "x" + key("one"),
        key("one").replace("PUBLIC", "PRIVATE"),
        key("one")[:400] + "-----END PGP PUBLIC KEY BLOCK-----\n",
        armor(packet(6), packet(5)),
        armor(packet(6), packet(7)),
        armor(packet(6, b"\x06rest")),
        armor(packet(6, b"\x03rest")),
        armor(packet(6)[:-1]),
        armor(packet(6), b"\x00"),
        armor(bytes([0xC0 | 6, 0xE1]) + b"\x04x"),
        armor(bytes([0x80 | 6 << 2 | 3]) + b"\x04x"),
        armor(bytes([0xC0 | 6, 0xFF, 0, 0])),
    ],
)
def test_a_text_that_is_not_exactly_one_openpgp_key_has_no_fingerprint(armored: str) -> None:
    assert docker_engine.fingerprints(armored) == []


def test_every_length_format_of_an_openpgp_packet_is_read() -> None:
    body = b"\x04" + bytes(300)
    long = bytes([0xC0 | 6, 192 + (301 - 192 >> 8), (301 - 192) & 0xFF]) + body
    longest = bytes([0xC0 | 6, 0xFF]) + len(body).to_bytes(4, "big") + body
    old = bytes([0x80 | 6 << 2 | 1]) + len(body).to_bytes(2, "big") + body
    found = {tuple(docker_engine.fingerprints(armor(packet))) for packet in (long, longest, old)}
    assert len(found) == 1
    assert len(next(iter(found))) == 1
