from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.scan.inventory import Release
from ansible_collections.hardener.docker.plugins.module_utils.scan.sources import Mirror, mirrors

TRIXIE = Release("debian", "13", "trixie", "Debian 13")
KEY = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBG"


def own(folder: Path, *, one: str = "", stanzas: str = "") -> Mirror | None:
    """The host's own mirror by these sources."""
    (folder / "sources.list.d").mkdir(exist_ok=True)
    (folder / "sources.list").write_text(one)
    (folder / "sources.list.d" / "x.sources").write_text(stanzas)
    return mirrors(TRIXIE, {}, str(folder)).get("debian")


@pytest.mark.parametrize(
    ("line", "mirror"),
    [
        ("deb http://a.example/s trixie-security main", Mirror("http://a.example/s", "")),
        (
            "deb [arch=amd64 signed-by=/k.gpg] http://a.example/s trixie-security main",
            Mirror("http://a.example/s", "/k.gpg"),
        ),
        ("deb http://a.example/s bookworm-security main", Mirror("http://a.example/s", "")),
        ("# deb http://a.example/s trixie-security main", None),
        ("deb-src http://a.example/s trixie-security main", None),
        ("deb http://a.example/debian trixie main", None),
    ],
)
def test_one_line_sources_are_parsed(tmp_path: Path, line: str, mirror: Mirror | None) -> None:
    assert own(tmp_path, one=f"deb http://a.example/debian trixie-updates main\n{line}\n") == mirror


def test_deb822_sources_are_parsed(tmp_path: Path) -> None:
    stanza = "Types: deb deb-src\nURIs: http://b.example/s\nSuites: trixie-security\nComponents: main\n"
    assert own(tmp_path, stanzas=stanza) == Mirror("http://b.example/s", "")
    keyed = own(tmp_path, stanzas=f"# a comment\n{stanza}Signed-By:\n {KEY}\n")
    assert keyed is not None
    assert keyed.signed_by.strip() == KEY.replace("\n ", "\n ").strip()
    assert own(tmp_path, stanzas=f"{stanza}Enabled: no\n") is None


def test_the_trusted_option_of_sources_is_ignored(tmp_path: Path) -> None:
    stanza = "Types: deb\nURIs: http://b.example/s\nSuites: trixie-security\nTrusted: yes\n"
    assert own(tmp_path, stanzas=stanza) == Mirror("http://b.example/s", "")
    line = "deb [trusted=yes] http://a.example/s trixie-security main\n"
    assert own(tmp_path, one=line) == Mirror("http://a.example/s", "")


def test_the_mirror_of_the_hosts_release_is_preferred(tmp_path: Path) -> None:
    lines = "deb http://old.example/s bookworm-security main\ndeb http://a.example/s trixie-security main\n"
    assert own(tmp_path, one=lines) == Mirror("http://a.example/s", "")


def test_a_host_without_sources_has_no_mirror(tmp_path: Path) -> None:
    assert mirrors(TRIXIE, {}, str(tmp_path / "none")) == {}


def test_the_site_can_name_other_mirrors(tmp_path: Path) -> None:
    keyring = tmp_path / "u.gpg"
    keyring.write_bytes(b"x")
    given = {"ubuntu": {"uri": "http://u.example/ubuntu", "signed_by": str(keyring)}}
    assert mirrors(TRIXIE, given, str(tmp_path))["ubuntu"] == Mirror("http://u.example/ubuntu", str(keyring))


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({}, "not the address"),
        ({"uri": "http://x y"}, "not the address"),
        ({"uri": "http://me:p@ss@x y"}, "'http://x y' is not the address"),
        ({"uri": "http://x\nTrusted: yes"}, "not the address"),
        ({"uri": "http://x", "signed_by": "/none.gpg"}, "no keyring"),
        ({"uri": "http://x", "signed_by": "/etc/passwd\nTrusted: yes"}, "no keyring"),
    ],
)
def test_an_error_names_the_variable(tmp_path: Path, entry: dict[str, str], reason: str) -> None:
    with pytest.raises(Failed, match=f"vulnerability_scan_mirrors: ubuntu.*{reason}"):
        mirrors(TRIXIE, {"ubuntu": entry}, str(tmp_path))
