"""Prepare findings for plain HTML without script or style: every control with its hosts, nothing folded.

Hosts with the same verdict are listed together, since most hosts of a fleet are alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hardener import catalogue
from hardener.reports.lib.page import CODES
from hardener.reports.lib.statuses import ORDER, WORDS

MOST_HOSTS = 50  # of which one file has all findings
_STATUS_OF = {code: status for status, code in CODES.items()}
# What is open comes first.
_PLACE = {code: place for place, code in enumerate("femwnp")}


class PlainFindings:
    """The findings of a run; empty if the run has more hosts than fit into one file."""

    def __init__(self) -> None:
        self._hosts: list[tuple[str, str, Sequence[int]]] = []
        self._verdicts: list[list[Any]] = []
        self.too_many = False

    def add(self, host: str, codes: str, numbers: Sequence[int], new: Sequence[list[Any]]) -> None:
        """Keep the findings of a host.

        Args:
            host: its name.
            codes: the status of each control, ``-`` where the host was not judged by it.
            numbers: the number of the verdict of each control.
            new: the verdicts that no earlier host had, in the order of their numbers.
        """
        if len(self._hosts) == MOST_HOSTS:
            self.too_many = True
            self._hosts.clear()
            self._verdicts.clear()
        if not self.too_many:
            self._hosts.append((host, codes, numbers))
            self._verdicts.extend(new)

    def sections(self, known: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the sections of the benchmark with their controls and findings, for the template."""
        if not self._hosts:
            return
        controls = sorted(enumerate(known["controls"]), key=lambda each: catalogue.order(each[1]["id"]))
        for number, (key, title) in enumerate(known["sections"]):
            yield {
                "number": number,
                "key": key,
                "title": title,
                "controls": [
                    {**control, "results": list(self._results(place)), "counts": self._counts(place)}
                    for place, control in controls
                    if control["section"] == number
                ],
            }

    def _results(self, place: int) -> Iterator[dict[str, Any]]:
        """Yield each different result of a control with its hosts, open results first."""
        found: dict[tuple[str, int], list[str]] = {}
        for host, codes, numbers in self._hosts:
            if place < len(codes) and codes[place] != "-":
                found.setdefault((codes[place], numbers[place]), []).append(host)
        for (code, number), hosts in sorted(found.items(), key=lambda item: _PLACE[item[0][0]]):
            status = _STATUS_OF[code]
            expected, actual, offenders, facts, checked, offending, all_facts = self._verdicts[number]
            yield {
                "status": status.value,
                "word": WORDS[status],
                "hosts": hosts,
                "expected": expected,
                "actual": actual,
                "offenders": offenders,
                "facts": facts,
                "share": f" ({offending} of {checked})" if checked else "",
                "more_offenders": offending - len(offenders),
                "more_facts": all_facts - len(facts),
            }

    def _counts(self, place: int) -> str:
        """Return the number of hosts by the status of a control, such as ``2 fail, 1 pass``."""
        counts = Counter(codes[place] for _, codes, _ in self._hosts if place < len(codes))
        shown = [(counts[CODES[status]], WORDS[status]) for status in ORDER if counts[CODES[status]]]
        return ", ".join(f"{number} {word}" for number, word in shown)
