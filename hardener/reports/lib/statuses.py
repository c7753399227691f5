"""Name, order and count statuses for pages: the HTML report and the site."""

from __future__ import annotations

from collections.abc import Mapping

from hardener import catalogue
from hardener.model import Status

WORDS = {
    Status.PASS: "pass",
    Status.FAIL: "fail",
    Status.MANUAL: "manual",
    Status.NOT_APPLICABLE: "not applicable",
    Status.WAIVED: "waived",
    Status.ERROR: "error",
}
# The order of a bar: passing, open, undecided.
ORDER = (
    Status.PASS,
    Status.FAIL,
    Status.ERROR,
    Status.MANUAL,
    Status.WAIVED,
    Status.NOT_APPLICABLE,
)


def plain(counts: Mapping[Status, int]) -> dict[str, int]:
    """Return the number of findings by status name, in the order of the segments of a bar."""
    return {status.value: counts.get(status, 0) for status in ORDER}


def headline(
    counts: Mapping[Status, int], hosts: int, *, is_part: bool = False, not_changed: int = 0
) -> tuple[str, str]:
    """Return the result in a few words, and its colour.

    Args:
        counts: number of findings by status.
        hosts: number of hosts.
        is_part: only the chosen results are counted, so they do not show that a host complies.
        not_changed: number of hosts that the run did not change as asked: it is not complete then.
    """
    if counts.get(Status.FAIL):
        return "Not compliant", "fail"
    if counts.get(Status.ERROR) or not_changed:
        return "Incomplete", "error"
    if is_part:
        return "No failure among the chosen results", ""
    return ("Compliant", "pass") if hosts else ("Nothing assessed", "error")


def section_title(name: str, benchmark: str) -> str:
    """Return ``5 Running containers`` for ``5 runtime`` if the catalogue has a title."""
    number = name.partition(" ")[0]
    known = catalogue.sections(benchmark) if benchmark in catalogue.benchmarks() else {}
    return f"{number} {known[number]}" if number in known else name
