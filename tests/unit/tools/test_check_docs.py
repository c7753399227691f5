"""A command that does not exist is found in a document, and one that does is not."""

from __future__ import annotations

import pytest

from hardener.errors import ExitCode
from tools.check_docs import ROOT, commands, missing_tests, short_fences, wrong, wrong_exit_codes


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("hardener frobnicate", "`hardener frobnicate`: hardener has no command frobnicate"),
        ("hardener workload frobnicate", "hardener workload has no command frobnicate"),
        ("hardener audit -i x --frobnicate", "No such option"),
        ("hardener audit --junit j.xml", "hardener audit needs"),
        ("hardener audit -i x --junit", "requires an argument"),
        ("hardener audit -i x extra", "hardener audit takes no extra"),
        ("hardener plan -i x --allow everything", "everything"),
        ("hardener audit -i x --level 3", "3"),
        ("sudo FOO=bar hardener frobnicate", "no command frobnicate"),
        ("hardener runs list && hardener frobnicate | sort", "no command frobnicate"),
        ('hardener audit -i "$(hardener lab sideways)"', "hardener lab has no command sideways"),
        ("hardener schedule install drift -i x --frobnicate", "No such option"),
        ("hardener runs list 'half", "is no shell"),
        ("make frobnicate", "the Makefile has no target frobnicate"),
        ("python -m bench.frobnicate", "there is no module bench.frobnicate"),
        ("python -m bench.fleet --frobnicate", "bench.fleet has no --frobnicate"),
        ("ansible-playbook -i x playbooks/frobnicate.yml", "there is no playbook"),
        ("ansible-playbook -i x hardener.docker.frobnicate", "there is no playbook"),
        ("frobnicate --now", "frobnicate is no program"),
    ],
)
def test_an_unknown_command_is_reported(command: str, message: str) -> None:
    (found,) = wrong(command)
    assert message in found


@pytest.mark.parametrize(
    "command",
    [
        "hardener audit -i localhost,",
        "hardener audit -i x --level 2 --report html=a.html --report csv=b.csv >out 2>&1 # it's a comment",
        'hardener audit -i "$(hardener lab up)"',
        "hardener schedule install drift -i x --notify-command /usr/local/bin/tell-me",
        "hardener lab ssh",
        "make test SCENARIOS='a b'",
        "python -m bench.fleet --hosts 10,50",
        "ansible-playbook -i x hardener.docker.audit -e a=b",
        "echo 'a # b' | sort",
        "A=b",
    ],
)
def test_a_known_command_is_accepted(command: str) -> None:
    assert list(wrong(command)) == []


def test_an_incomplete_command_in_a_sentence_is_accepted() -> None:
    assert list(wrong("hardener audit --junit", whole=False)) == []
    assert list(wrong("hardener audit --frobnicate", whole=False))


def test_commands_are_found_with_their_lines() -> None:
    text = """\
Text with `hardener runs list`, `make` and `make unit`.

```console
hardener audit -i x \\
    --junit j.xml

hardener runs list
cat >play.yml <<'END'
frobnicate:
END
hardener show latest
```

```text
hardener nothing
```

1. Step:

   ```sh
   make lint
   ```
"""
    assert list(commands(text)) == [
        (1, "hardener runs list", False),
        (1, "make unit", False),
        (4, "hardener audit -i x     --junit j.xml", True),
        (7, "hardener runs list", True),
        (8, "cat >play.yml <<'END'", True),
        (11, "hardener show latest", True),
        (21, "make lint", True),
    ]


README = (ROOT / "README.md").read_text(encoding="utf-8")
ROWS = [f"| {code.value} | {code.meaning} |\n" for code in ExitCode]


def test_the_readme_has_the_exit_codes_in_the_order_of_their_precedence() -> None:
    assert list(wrong_exit_codes("README.md", README)) == []
    assert "".join(ROWS) in README


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_exit_codes_that_is_missing_or_differs_is_reported(row: str) -> None:
    for other in ("", row.replace(" |\n", ", or not |\n")):
        assert len(list(wrong_exit_codes("README.md", README.replace(row, other)))) == 1


def test_another_order_of_the_exit_codes_is_reported() -> None:
    text = README.replace("".join(ROWS), "".join(sorted(ROWS)))
    assert len(list(wrong_exit_codes("README.md", text))) == 1


def test_another_table_of_exit_codes_links_to_the_one_of_the_readme() -> None:
    table = "| exit code | |\n| --- | --- |\n| 0 | fine |\n"
    assert len(list(wrong_exit_codes("docs/x.md", table))) == 1
    assert not list(
        wrong_exit_codes("docs/x.md", table.replace("exit code", "[exit code](../README.md#in-ci)"))
    )
    assert not list(wrong_exit_codes("docs/x.md", "The exit code is 3, as in `a | b`.\n"))


def test_a_named_test_that_does_not_exist_is_reported() -> None:
    own = "`unit/tools/test_check_docs.py`: `test_an_unknown_command_is_reported`"
    assert not list(missing_tests(own))
    assert list(missing_tests(own.replace("unknown", "known")))
    assert list(missing_tests(own.replace("tools/", "nowhere/")))
    assert len(list(missing_tests((ROOT / "SECURITY.md").read_text() + "\n`test_frobnicate`"))) == 1


def test_a_block_with_fences_that_are_too_short_is_reported() -> None:
    text = "Text, and `code`.\n\n``console\nhardener audit\n``\n\n```text\n``console\n```\n"
    assert list(short_fences(text)) == [3, 5]
