from __future__ import annotations

from typing import Any

import pytest

from hardener.terminal.phase import diff_lines


@pytest.mark.parametrize(
    ("diff", "lines"),
    [
        (None, []),
        ({}, []),
        ([], []),
        ("text", []),
        ([{"prepared": "\n"}], []),
        (
            [{"path": "/a", "prepared": "-1\n+2\n"}, {"path": "/b", "prepared": "+3"}],
            ["h: /a", "-1", "+2", "h: /b", "+3"],
        ),
        (
            {"before": "same\nold\n", "after": "same\nnew\n", "after_header": "/etc/x"},
            ["h: /etc/x", "--- before", "+++ after", "@@ -1,2 +1,2 @@", " same", "-old", "+new"],
        ),
        (
            {"before": {"mode": "0644"}, "after": {"mode": "0600"}},
            ["h", "--- before", "+++ after", "@@ -1 +1 @@", "-mode: 0644", "+mode: 0600"],
        ),
        ({"before": "x", "after": "x"}, []),
        ({"path": "/a\nb", "prepared": "+\x1b[2J"}, ["h: /a b", "+\\x1b[2J"]),
    ],
)
def test_differences_are_rendered_as_unified_diffs(diff: Any, lines: list[str]) -> None:
    assert list(diff_lines("h", diff)) == lines


def test_colours_are_used_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    diff = {"path": "/a", "prepared": "-1\n+2\n 3"}
    assert list(diff_lines("h", diff)) == [
        "\x1b[1mh: /a\x1b[0m",
        "\x1b[31m-1\x1b[0m",
        "\x1b[32m+2\x1b[0m",
        " 3\x1b[0m",
    ]
    monkeypatch.setenv("NO_COLOR", "1")
    assert list(diff_lines("h", diff)) == ["h: /a", "-1", "+2", " 3"]
