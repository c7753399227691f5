from __future__ import annotations

import io

from rich.console import Console

from hardener.activity import read
from hardener.terminal.activity import screen
from tests.unit.activity_answers import ANSWER, entry


def shown(answer: dict[str, object]) -> str:
    output = io.StringIO()
    console = Console(file=output, width=100)
    for part in screen(read("web1", answer)):
        console.print(part)
    return output.getvalue()


def test_unusual_entries_are_shown_first_and_losses_last() -> None:
    entries = [entry(unusual=False, kind="open w"), entry(unusual=True)]
    text = shown(
        {**ANSWER, "entries": entries, "lost": {"overruns": 2}, "deaf": ["the engine does not answer"]}
    )
    order = [
        "Unusual: new",
        "apparmor: mount",
        "Usual",
        "open w",
        "lost: 2 times",
        "engine does not",
        "seccomp",
    ]
    places = [text.index(each) for each in order]
    assert places == sorted(places)
    assert "/mnt/" in text
    assert "by mount" in text
    assert "web (nginx)" in text


def test_without_a_collector_no_entry_is_called_usual() -> None:
    text = shown(ANSWER)
    assert "No baseline to tell whether this is usual" in text
    assert "Usual\n" not in text


def test_earlier_observations_come_first_and_a_damaged_record_is_named() -> None:
    record = {key: value for key, value in ANSWER.items() if key not in ("record", "record_problem")}
    text = shown({**ANSWER, "entries": [], "record": record})
    assert text.index("by its collector") < text.index("observed for 600 s") < text.index("nothing was seen")
    wrong = "problem of its collector: x is not JSON"
    assert wrong in shown({**ANSWER, "record_problem": "x is not JSON"})
    assert wrong in shown({**ANSWER, "record": record, "record_problem": "x is not JSON"})


def test_untrusted_names_are_escaped() -> None:
    evil = entry(
        name="[red]\x1b[2Jx", commands=["a\nb\u202e"], container="", attributed_by="not\x07 attributed"
    )
    text = shown({**ANSWER, "entries": [evil, entry(name="[red]\x1b[2Jx")]})
    assert "\x1b" not in text
    assert "\x07" not in text
    assert r"[red]\x1b[2Jx" in text
    assert "\u202e" not in text


def test_a_long_list_is_cut_and_the_omitted_items_are_counted() -> None:
    text = shown({**ANSWER, "entries": [entry(kind=f"kind{number}") for number in range(60)]})
    assert "and 10 more: --json has them all" in text
