from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.trust import read_policy

TODAY = date(2026, 11, 25)
PEM = "-----BEGIN PUBLIC KEY-----\nMFkw+/=\n-----END PUBLIC KEY-----\n"
OTHER = PEM.replace("MFkw", "MFkx")
ONE = "registries: [{prefix: r, nothing: true}]\n"
DIGEST = "sha256:" + "a" * 64


def written(folder: Path, text: str) -> Path:
    path = folder / "trust.yml"
    path.write_text(text)
    (folder / "cosign.pub").write_text(PEM)
    return path


def test_a_policy_is_converted_for_hosts(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f"""
registries:
  - prefix: r.example.com
    keys:
      - cosign.pub
      - |
        {OTHER.replace(chr(10), chr(10) + "        ").strip()}
    need: all
  - {{prefix: r.example.com/base, digests: [{DIGEST}]}}
  - {{prefix: docker.io/library, nothing: true}}
exceptions:
  - image: r.example.com/old:*
    reason: Is replaced.
    expires: 2026-12-31
""",
    )
    assert read_policy(path, today=TODAY) == {
        "registries": [
            {"prefix": "r.example.com", "keys": [PEM, OTHER], "need": "all"},
            {"prefix": "r.example.com/base", "digests": [DIGEST]},
            {"prefix": "docker.io/library", "nothing": True},
        ],
        "exceptions": [{"image": "r.example.com/old:*", "reason": "Is replaced.", "expires": "2026-12-31"}],
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "registries: is missing"),
        ("registries: []", "trust.yml:1: registries: is empty"),
        (f"{ONE}exception: []", "trust.yml:2: exception: unknown key; did you mean exceptions?"),
        (
            "registries:\n  - prefix: r\n",
            "trust.yml:2: registries: must have exactly one of `keys`, `digests` and `nothing`: true",
        ),
        ("registries:\n  - {prefix: r, nothing: true, keys: [cosign.pub]}", "must have exactly one of"),
        ("registries:\n  - {prefix: r, nothing: yes}", "trust.yml:2: nothing: must be 'true'"),
        ("registries:\n  - {prefix: r, nothing: true, need: all}", "`need` is only for a rule with `keys`"),
        ("registries:\n  - {prefix: 'r:99999', nothing: true}", "prefix: must be a registry or repository"),
        ("registries:\n  - {prefix: 'r:1 x', nothing: true}", "prefix: must be a registry or repository"),
        ("registries:\n  - {prefix: r, digests: ['sha256:1']}", "digests: 'sha256:1' is not a digest"),
        ("registries:\n  - {prefix: r, keys: [none.pub]}", "keys: cannot read none.pub: No such file"),
        ("registries:\n  - {prefix: r, keys: [trust.yml]}", "keys: trust.yml is not a public key in PEM"),
        ("registries:\n  - {prefix: r, keys: cosign.pub}", "keys: must be a list"),
        (
            "registries:\n  - prefix: r\n    keys: [cosign.pub, ./cosign.pub]",
            "trust.yml:3: keys: ./cosign.pub is a duplicate key",
        ),
        (
            "registries:\n- {prefix: index.docker.io, nothing: true}\n- {prefix: docker.io, nothing: true}",
            "trust.yml:3: prefix: docker.io appears twice, first in line 2",
        ),
        (
            "registries:\n  - {prefix: r, nothing: true}\n  - {prefix: r/, nothing: true}",
            "trust.yml:3: prefix: r appears twice, first in line 2",
        ),
        (
            f"{ONE}exceptions: [{{image: x, reason: y}}]",
            "trust.yml:2: expires: is missing",
        ),
        (
            f"{ONE}exceptions: [{{image: '*', reason: y, expires: 2026-12-01}}]",
            "image: '*' matches every image",
        ),
        (
            f"{ONE}exceptions: [{{image: x, reason: y, expires: 2028-01-01}}]",
            "expires: 2028-01-01 is more than 366 days from now",
        ),
    ],
)
def test_a_mistake_is_reported_with_its_line_and_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(HardenerError) as told:
        read_policy(written(tmp_path, text), today=TODAY)
    assert said in str(told.value)
    assert "waivers" not in str(told.value)


def test_an_expired_exception_is_accepted(tmp_path: Path) -> None:
    text = f"{ONE}exceptions: [{{image: x, reason: y, expires: 2026-01-01}}]"
    assert read_policy(written(tmp_path, text), today=TODAY)["exceptions"][0]["expires"] == "2026-01-01"


def test_of_several_mistakes_the_first_is_shown_and_the_others_are_counted(tmp_path: Path) -> None:
    text = "registries:\n  - {prefix: r, nothing: x}\n  - {prefix: s, nothing: x}"
    with pytest.raises(HardenerError, match=r"trust\.yml:2: nothing: .* \(and 1 more\)"):
        read_policy(written(tmp_path, text), today=TODAY)
