"""How many cases the oracles try, and from which seed."""

from __future__ import annotations

import random

import pytest

from tests.integration.conftest import own_network

__all__ = ["own_network"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of ``make oracles``."""
    group = parser.getgroup("oracles")
    group.addoption("--all-cases", action="store_true", help="try as many cases as test-all does")
    group.addoption("--seed", type=int, default=None, help="the seed that an earlier run printed")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of the cases, printed where a test fails."""
    chosen = request.config.getoption("seed")
    value = random.SystemRandom().randrange(1 << 32) if chosen is None else int(chosen)
    print(f"--seed={value}")
    return value


@pytest.fixture
def all_cases(request: pytest.FixtureRequest) -> bool:
    """Whether to try as many cases as test-all does."""
    return bool(request.config.getoption("all_cases"))
