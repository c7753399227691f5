from __future__ import annotations

from hardener.errors import ExitCode
from hardener.evidence import Refused


def test_a_refusal_is_one_line_that_names_the_file() -> None:
    refused = Refused("a\nb\x1b[2J", "is\nnot good")
    assert str(refused) == r"a b\x1b[2J: is not good"
    assert refused.exit_code is ExitCode.NOT_COMPLIANT


def test_a_file_without_a_name_is_described() -> None:
    assert str(Refused("", "is a device")) == "(no name): is a device"
