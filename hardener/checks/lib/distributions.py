"""The support periods of distributions' releases; a release that is not listed is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Support:
    """The end of a release's security updates, by its own team and by an extended team."""

    regular: date
    extended: date


DISTRIBUTIONS: Mapping[tuple[str, str], Support] = {
    ("debian", "11"): Support(date(2024, 8, 14), date(2026, 8, 31)),
    ("debian", "12"): Support(date(2026, 6, 10), date(2028, 6, 30)),
    ("debian", "13"): Support(date(2028, 8, 9), date(2030, 6, 30)),
}
# Releases without current engines that are still bases of images. Ubuntu's paid support is not counted.
_ENDED: Mapping[tuple[str, str], date] = {
    ("debian", "8"): date(2020, 6, 30),
    ("debian", "9"): date(2022, 6, 30),
    ("debian", "10"): date(2024, 6, 30),
    ("ubuntu", "14.04"): date(2019, 4, 30),
    ("ubuntu", "16.04"): date(2021, 4, 30),
    ("ubuntu", "18.04"): date(2023, 5, 31),
    ("ubuntu", "20.04"): date(2025, 5, 31),
}


def end_of_support(distribution: str, release: str, *, today: date) -> date | None:
    """Return the end of a release's support; None if it is supported or unknown."""
    known = DISTRIBUTIONS.get((distribution, release))
    end = known.extended if known else _ENDED.get((distribution, release))
    return end if end and end < today else None
