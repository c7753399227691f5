from __future__ import annotations

from typing import Any

import pytest

from hardener.checks.lib.secrets import secrets_in
from hardener.snapshot import FactUnavailable, Snapshot
from tests.unit.snapshots import make


def collected(**collector: Any) -> Snapshot:
    return Snapshot({**make().raw, "collector": collector})


SECRETS = [
    {"where": "image sha256:0a env TOKEN", "kind": "name"},
    {"where": "image sha256:0a history 2", "kind": "jwt"},
    {"where": "image sha256:0b", "kind": "private-key"},
    {"where": "container web env TOKEN", "kind": "name"},
    {"where": "images", "kind": "name"},
]


def test_secrets_are_grouped_by_object() -> None:
    assert secrets_in(collected(secrets=SECRETS), "image") == {
        "sha256:0a": ("env TOKEN (name)", "history 2 (jwt)"),
        "sha256:0b": ("(private-key)",),
    }
    assert secrets_in(collected(secrets=SECRETS), "service") == {}


@pytest.mark.parametrize("collector", [{}, {"secrets": None}, {"secrets": "x"}, {"secrets": [{"where": 3}]}])
def test_a_missing_or_malformed_list_of_secrets_is_an_error(collector: dict[str, Any]) -> None:
    with pytest.raises(FactUnavailable, match="collector"):
        secrets_in(collected(**collector), "image")


def test_a_truncated_list_of_secrets_is_an_error_for_objects_that_it_does_not_name() -> None:
    cut = collected(secrets=SECRETS, secrets_cut=True)
    assert secrets_in(cut, "container") == {"web": ("env TOKEN (name)",)}
    with pytest.raises(FactUnavailable, match="more secrets were found than the snapshot holds"):
        secrets_in(cut, "service")
