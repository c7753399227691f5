from __future__ import annotations

from typing import Any

from hardener.reports.lib.plain_findings import MOST_HOSTS, PlainFindings

CATALOGUE: dict[str, Any] = {
    "sections": [["1 host", "The host"], ["5 runtime", "Containers"]],
    "controls": [{"id": "1.1", "slug": "a", "section": 0}, {"id": "5.1", "slug": "b", "section": 1}],
}
YES = ["it holds", "it holds", [], [], 1, 0, 0]
NO = ["it holds", "it does not", [["file", "/x", "missing"]], ["seen"], 3, 2, 4]


def test_hosts_with_equal_results_are_grouped_and_open_results_come_first() -> None:
    plain = PlainFindings()
    plain.add("one", "pf", [0, 1], [YES, NO])
    plain.add("two", "pp", [0, 0], [])
    plain.add("three", "-f", [0, 1], [])
    first, second = plain.sections(CATALOGUE)
    (control,) = first["controls"]
    assert [(each["word"], each["hosts"]) for each in control["results"]] == [("pass", ["one", "two"])]
    (control,) = second["controls"]
    assert [(each["word"], each["hosts"]) for each in control["results"]] == [
        ("fail", ["one", "three"]),
        ("pass", ["two"]),
    ]
    assert control["counts"] == "1 pass, 2 fail"
    failing = control["results"][0]
    assert (failing["share"], failing["more_offenders"], failing["more_facts"]) == (" (2 of 3)", 1, 3)


def test_a_control_of_one_host_is_not_listed_for_hosts_without_it() -> None:
    plain = PlainFindings()
    plain.add("one", "p", [0], [YES])
    plain.add("two", "pf", [0, 1], [NO])
    assert [each["hosts"] for each in list(plain.sections(CATALOGUE))[1]["controls"][0]["results"]] == [
        ["two"]
    ]


def test_above_the_limit_of_hosts_no_finding_is_listed() -> None:
    plain = PlainFindings()
    for number in range(MOST_HOSTS):
        plain.add(str(number), "pp", [0, 0], [YES] if number == 0 else [])
    kept = list(plain.sections(CATALOGUE))
    plain.add("one more", "pp", [0, 0], [])
    assert (len(kept), plain.too_many, list(plain.sections(CATALOGUE))) == (2, True, [])
