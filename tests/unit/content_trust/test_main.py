"""What the programs of the host say of a policy that is none; the rest is for real engines to show."""

from __future__ import annotations

from pathlib import Path

import pytest
from host_trust import main, pull
from host_trust.words import PolicyError


@pytest.mark.parametrize("text", [None, "{", "[" * 99_999])
def test_a_policy_that_cannot_be_read(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "trust.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PolicyError, match=r"trust\.json"):
        main.read_policy(str(path))


def test_without_a_policy_nothing_is_verified_or_pulled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(path: str = "") -> None:
        raise PolicyError("/etc/hardener/trust.json: No such file or directory")

    monkeypatch.setattr(main, "read_policy", none)
    monkeypatch.setattr(pull, "read_policy", none)
    assert main.main() == 1
    assert pull.main(["r.example.com/a"]) == 1
    assert capsys.readouterr().err.count("trust.json: No such file") == 2


@pytest.mark.parametrize("arguments", [["--force", "a"], ["A B"], ["-x"]])
def test_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert pull.main(arguments) == 2
    assert capsys.readouterr().err
