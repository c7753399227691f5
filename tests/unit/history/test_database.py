from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.history import History
from hardener.history.database import opened
from tests.unit.history.runs import put
from tests.unit.reports.assessments import assessment, gone

MANUAL = Path(__file__).parents[3] / "docs" / "history.md"


def test_the_last_query_of_the_documentation_works(history: History) -> None:
    query = re.findall(r"```sql\n(.*?)```", MANUAL.read_text(), re.DOTALL)[-1]
    put(history, assessments=[assessment("earlier")])
    put(history, assessments=[assessment("a"), gone("b"), assessment("c")])
    with opened(history.path / "history.sqlite3") as connection:
        assert connection.execute(query).fetchall() == [("a",), ("c",)]


def test_a_database_of_a_newer_version_is_not_changed(history: History) -> None:
    put(history)
    path = history.path / "history.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(HardenerError, match="written by a newer hardener"):
        history.begin()
    with pytest.raises(HardenerError, match="written by a newer hardener"):
        list(history.runs())


def test_tables_are_created_in_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    with opened(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT count(*) FROM run").fetchone() == (0,)


def test_every_row_belongs_to_a_run(history: History) -> None:
    put(history)
    with opened(history.path / "history.sqlite3") as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            connection.execute("INSERT INTO tally VALUES (99, 'host', 'pass', 1)")
