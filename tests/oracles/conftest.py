"""How many cases the oracles try, and from which seed."""

from __future__ import annotations

import random

import pytest

from tests.integration.namespaces import OwnNetwork

_EVERY_DAY = 1


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of ``make oracles``."""
    group = parser.getgroup("oracles")
    group.addoption("--all-cases", action="store_true", help="try as many cases as test-all does")
    group.addoption("--seed", type=int, default=None, help="the seed that an earlier run printed")


@pytest.fixture(scope="session", autouse=True)
def _in_own_network(own_network: OwnNetwork | None) -> None:
    """Start everything in a network of its own."""


@pytest.fixture
def seed(request: pytest.FixtureRequest, all_cases: bool) -> int:
    """The seed of the cases, printed where a test fails: the same every day but where all cases are tried."""
    chosen = request.config.getoption("seed")
    fresh = random.SystemRandom().randrange(1 << 32) if all_cases else _EVERY_DAY
    value = fresh if chosen is None else int(chosen)
    print(f"--seed={value}")
    return value


@pytest.fixture
def all_cases(request: pytest.FixtureRequest) -> bool:
    """Whether to try as many cases as test-all does."""
    return bool(request.config.getoption("all_cases"))
