from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from ansible_collections.hardener.docker.plugins.plugin_utils.windows import parse, refusal

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)


@pytest.mark.parametrize(
    "text",
    [
        *("", "22:00-04:00", "daily 22:00-04:00", "22:00-04:00 UTC", "Sat 22-04 UTC", "Sat 22:00 UTC"),
        *("Sat 24:00-04:00 UTC", "Sat 22:60-04:00 UTC", "Sat 22:00-24:01 UTC", "Sat 22:00-99:00 UTC"),
        *(
            "Sam 22:00-04:00 UTC",
            "Sat-22:00-04:00 UTC",
            "Mon-Fri-Sun 22:00-04:00 UTC",
            "Mon, 22:00-04:00 UTC",
        ),
        *(
            "Sat 22:00-04:00 Europe/Nowhere",
            "Sat 22:00-04:00 ../../etc/passwd",
            "Sat 22:00-04:00 /etc/passwd",
        ),
        *("Sat 22:00-04:00 UTC\x1b[2J", "Sat ٢٢:00-04:00 UTC", f"{'Sat,' * 1000}Sun 22:00-04:00 UTC"),
    ],
)
def test_an_invalid_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"window|zone|day"):
        parse(text)


def test_a_host_without_windows_can_be_changed_at_any_time() -> None:
    assert refusal([], datetime.now(UTC)) == ""


def test_days_and_times_follow_the_time_zone() -> None:
    window = "Sat,Sun 08:00-18:00 Europe/Berlin"
    assert refusal([window], at("2026-11-28T07:00", ZoneInfo("UTC"))) == ""
    assert refusal([window], at("2026-11-28T17:59")) == ""
    assert refusal([window], at("2026-11-28T18:00")).endswith("it is Sat 18:00 in Europe/Berlin")
    assert refusal([window], at("2026-11-27T12:00"))
    assert refusal(["Mon 01:00-02:00 UTC", window], at("2026-11-28T12:00")) == "", "one is enough"


def test_a_window_over_midnight_belongs_to_its_first_day() -> None:
    window = parse("Fri 22:00-04:00 Europe/Berlin")
    assert window.has(at("2026-11-27T22:00"))  # Friday
    assert window.has(at("2026-11-28T03:59"))  # Saturday
    assert not window.has(at("2026-11-28T04:00"))
    assert not window.has(at("2026-11-27T03:59"))
    assert not window.has(at("2026-11-28T22:00"))
    assert parse("Sun 22:00-04:00 Europe/Berlin").has(at("2026-11-30T01:00"))  # Monday


def test_a_window_with_equal_start_and_end_lasts_a_whole_day() -> None:
    window = parse("Sat 06:00-06:00 UTC")
    assert window.has(at("2026-11-28T06:00", ZoneInfo("UTC")))
    assert window.has(at("2026-11-29T05:59", ZoneInfo("UTC")))
    assert not window.has(at("2026-11-29T06:00", ZoneInfo("UTC")))
    assert parse("daily 00:00-24:00 UTC").has(datetime.now(UTC))


def minutes(text: str, first: datetime, hours: int) -> int:
    """How many minutes of a span a window is open."""
    window, begin = parse(text), first.astimezone(UTC)
    return sum(window.has(begin + timedelta(minutes=number)) for number in range(hours * 60))


def test_a_repeated_hour_is_in_the_window_twice() -> None:
    evening = at("2026-10-24T12:00")  # the clock goes from 03:00 to 02:00 in the night
    assert minutes("Sat 22:00-04:00 Europe/Berlin", evening, 24) == 7 * 60
    assert minutes("Sun 02:00-03:00 Europe/Berlin", evening, 24) == 2 * 60
    window = parse("Sun 02:15-02:45 Europe/Berlin")
    assert window.has(at("2026-10-25T02:30"))
    assert window.has(at("2026-10-25T02:30", fold=1))


def test_a_skipped_hour_is_never_in_the_window() -> None:
    evening = at("2027-03-27T12:00")  # the clock goes from 02:00 to 03:00 in the night
    assert minutes("Sat 22:00-04:00 Europe/Berlin", evening, 24) == 5 * 60
    assert minutes("Sun 02:15-02:45 Europe/Berlin", evening, 24) == 0
    assert minutes("Sun 01:30-02:30 Europe/Berlin", evening, 24) == 30


def test_a_window_on_an_ordinary_day_has_its_nominal_length() -> None:
    assert minutes("Sat 22:00-04:00 Europe/Berlin", at("2026-11-28T12:00"), 24) == 6 * 60


@pytest.mark.parametrize("seed", range(100))
def test_a_window_follows_the_local_time_of_its_zone(seed: int) -> None:
    draw = random.Random(seed)
    zone = draw.choice(["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"])
    begin, end = draw.randrange(24 * 60), draw.randrange(24 * 60 + 1)
    days = sorted(draw.sample(range(7), draw.randrange(1, 7)))
    text = (
        f"{','.join(DAYS[day] for day in days)}"
        f" {begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02} {zone}"
    )
    window = parse(text)
    week = {  # every minute of a week of the wall's clock that belongs to the window
        (day * 1440 + minute) % (7 * 1440)
        for day in days
        for minute in range(begin, end if begin < end else end + 1440)
    }
    for _ in range(50):
        now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=draw.randrange(2 * 366 * 1440))
        local = now.astimezone(ZoneInfo(zone))
        wall = local.weekday() * 1440 + local.hour * 60 + local.minute
        assert window.has(now) == (wall in week), (text, now)
