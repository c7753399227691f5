"""The best source that works is used."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent, Failed
from ansible_collections.hardener.docker.plugins.module_utils.record import choice

WORKS = None
NO_TOOL = Absent("there is no bpftool: apt-get install bpftool")
NO_OTHER = Absent("there is no bpftrace: apt-get install bpftrace")
REFUSED = Failed("bpftool: the verifier refuses it")
ALSO_REFUSED = Failed("bpftrace: it, too")


def source(kind: str, error: Exception | None) -> Callable[..., Any]:
    """Makes what stands for a source, or fails."""

    def make(*_arguments: object, **_options: object) -> Any:
        if error is not None:
            raise error
        return SimpleNamespace(kind=kind)

    return make


def choose(monkeypatch: pytest.MonkeyPatch, *errors: Exception | None) -> Any:
    for name, error in zip(("Recorder", "Bpftrace"), errors, strict=True):
        monkeypatch.setattr(choice, name, source(name.lower(), error))
    return choice.choose({}, fetch_into="", seconds=1)


@pytest.mark.parametrize(
    ("errors", "kind", "instead"),
    [
        ((WORKS, WORKS), "recorder", ""),
        ((NO_TOOL, WORKS), "bpftrace", str(NO_TOOL)),
        ((REFUSED, WORKS), "bpftrace", str(REFUSED)),
    ],
)
def test_the_first_recorder_that_works_is_chosen_with_the_errors_of_those_before(
    monkeypatch: pytest.MonkeyPatch, errors: tuple[Exception | None, ...], kind: str, instead: str
) -> None:
    found = choose(monkeypatch, *errors)
    assert (found.kind, found.instead) == (kind, instead)


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        ((NO_TOOL, NO_OTHER), str(NO_TOOL)),
        ((REFUSED, NO_OTHER), f"{REFUSED}; {NO_OTHER}"),
        ((NO_TOOL, ALSO_REFUSED), f"{NO_TOOL}; {ALSO_REFUSED}"),
        ((REFUSED, ALSO_REFUSED), f"{REFUSED}; {ALSO_REFUSED}"),
        ((REFUSED, REFUSED), str(REFUSED)),
    ],
)
def test_if_no_recorder_works_the_error_gives_the_reasons(
    monkeypatch: pytest.MonkeyPatch, errors: tuple[Exception | None, ...], reason: str
) -> None:
    with pytest.raises(Failed) as caught:
        choose(monkeypatch, *errors)
    assert str(caught.value) == reason
