"""Options of the generated lives."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--minutes", type=int, default=0, help="generate lives for this time")
    parser.addoption("--life", type=int, default=1, help="the number of the first life")
    parser.addoption("--shrink", action="store_true", help="find the shortest life that fails")
