from __future__ import annotations

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker import content_trust


@pytest.mark.parametrize(
    ("installed", "found"),
    [
        ({}, ("", "")),
        ({"docker": ""}, ("", "")),
        ({"docker.io": "26.1.5+dfsg1-9"}, ("docker.io 26.1.5+dfsg1-9", "26.1.5+dfsg1-9")),
        ({"docker-ce-cli": "5:28.5.2-1"}, ("docker-ce-cli 5:28.5.2-1", "28.5.2-1")),
        ({"docker.io": "26.1.5", "docker-cli": "27.0"}, ("docker-cli 27.0", "27.0")),
    ],
)
def test_the_client_is_found_by_its_package(installed: dict[str, str], found: tuple[str, str]) -> None:
    assert content_trust.client(installed) == found


@pytest.mark.parametrize("value", ["", "0", "f", "F", "false", "FALSE", "False"])
def test_an_empty_or_false_value_turns_content_trust_off(value: str) -> None:
    assert not content_trust.is_on(value)


@pytest.mark.parametrize("value", ["1", "true", "fALSE", "no", "off"])
def test_any_other_value_turns_content_trust_on(value: str) -> None:
    assert content_trust.is_on(value)
