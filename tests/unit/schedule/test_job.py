from __future__ import annotations

import pytest

from hardener.errors import HardenerError
from tests.unit.schedule.jobs import job


@pytest.mark.parametrize("name", ["", "Drift", "a b", "../drift", "a.b", "-a", "a\n", "a@b", "%n", "a" * 64])
def test_a_name_that_is_invalid_in_a_unit_name_is_refused(name: str) -> None:
    with pytest.raises(HardenerError, match="is not a name of a schedule"):
        job(name)
