from __future__ import annotations

import io
from typing import Any

from hardener.terminal.console import console, show_images


def image(status: str, *names: str, containers: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {
        "id": "sha256:" + "a" * 64,
        "names": list(names),
        "status": status,
        "detail": "why",
        "containers": list(containers),
    }


def container(name: str, *, by_digest: bool = False) -> dict[str, Any]:
    return {"name": name, "running": True, "by_digest": by_digest}


def shown(*images: dict[str, Any]) -> list[str]:
    stream = io.StringIO()
    show_images("web1", images, console(stream, width=120))
    return [" ".join(line.split()) for line in stream.getvalue().splitlines() if line.strip()]


def test_untrusted_images_come_first_with_their_containers() -> None:
    used = (container("web"), container("db", by_digest=True))
    lines = shown(
        image("verified", "good:1", containers=(container("x", by_digest=True),)),
        image("unsigned", "bad:1", containers=used),
        image("unreachable"),
    )
    assert lines == [
        "web1",
        "unsigned bad:1 why; used by web, db, referred to by a tag",
        "unreachable aaaaaaaaaaaa why",
        "verified good:1 why; used by x, referred to by its digest",
        "1 verified, 1 unsigned, 1 unreachable",
    ]


def test_trusted_images_beyond_the_limit_are_counted() -> None:
    lines = shown(*(image("verified", f"app{number}:1") for number in range(25)), image("unsigned", "bad:1"))
    assert lines[1] == "unsigned bad:1 why"
    assert lines[-2:] == ["and 5 more that are trusted", "25 verified, 1 unsigned"]


def test_a_host_without_images_is_shown() -> None:
    assert shown() == ["web1", "no images"]


def test_hostile_names_are_escaped() -> None:
    many = tuple(container(f"c\x1b[2J{number}") for number in range(5))
    (line,) = (each for each in shown(image("[red]x", "evil\x1b[2J", containers=many)) if "evil" in each)
    assert "\x1b" not in line
    assert "[red]x" in line
    assert "and 2 more" in line
