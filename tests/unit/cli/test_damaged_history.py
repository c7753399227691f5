"""Histories with generated damages: every command that reads one ends with an error in one line, or works."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from hardener.history.assessment_store import pack, unpack
from tests.unit.cli.fake_fleet import FakeFleet
from tests.unit.cli.histories import DRIFT, audited, host

Hardener = Callable[..., Result]
Damage = Callable[[Path], None]

COMMANDS = (
    ("show", "latest", "--json", "-"),
    ("runs", "trend", "-i", "inv,"),
    ("report", "site", "--out", "OUT"),
    ("evidence", "export", "latest", "--out", "OUT"),
    ("report", "metrics"),
    ("diff", "latest~1", "latest"),
    DRIFT,
    ("runs", "list", "--json", "-"),
    ("report", "write", "latest", "--report", "html=OUT"),
    ("show", "latest", "--limit", "a"),
    ("audit", "-i", "inv,"),
    ("runs", "baseline", "latest"),
)
ODD: tuple[Any, ...] = (None, 3, "x", [], {}, [1], {"a": 1}, 1.5, "2026-11-25T00:00:00")


def sql(script: str) -> Damage:
    def damage(database: Path) -> None:
        connection = sqlite3.connect(database)
        connection.executescript(f"PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF; {script}")
        connection.close()

    return damage


def tables(database: Path) -> dict[str, list[str]]:
    connection = sqlite3.connect(database)
    names = connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE TABLE %'").fetchall()
    found = {
        name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
        for (name,) in names
        if not name.startswith("sqlite_")
    }
    connection.close()
    return found


def remade(table: str, columns: list[str]) -> Damage:
    """The table without its constraints, with these columns."""
    return sql(
        f"CREATE TABLE new AS SELECT {', '.join(columns)} FROM {table};"
        f" DROP TABLE {table}; ALTER TABLE new RENAME TO {table};"
    )


def of_schema(database: Path) -> Iterator[Damage]:
    for table, columns in tables(database).items():
        yield sql(f"DROP TABLE {table}")
        yield sql(f"DELETE FROM {table}")
        for column in columns:
            yield remade(table, [each for each in columns if each != column])
    yield sql(f"{'; '.join(f'DROP TABLE {each}' for each in tables(database))}; CREATE TABLE music (id)")


def of_types(database: Path) -> Iterator[Damage]:
    for table, columns in tables(database).items():
        for column, value in itertools.product(columns, ("NULL", "'x'", "x'ff00'")):
            yield remade(table, [f"{value} AS {each}" if each == column else each for each in columns])


def of_bytes(_database: Path) -> Iterator[Damage]:
    yield from (partial(cut, seed) for seed in range(8))
    yield from (partial(flip, seed) for seed in range(30))


def cut(seed: int, database: Path) -> None:
    data = database.read_bytes()
    database.write_bytes(data[: random.Random(seed).randrange(len(data))])


def flip(seed: int, database: Path) -> None:
    dice, data = random.Random(seed), bytearray(database.read_bytes())
    for _ in range(2 ** (seed % 10)):
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    database.write_bytes(data)


def of_records(database: Path) -> Iterator[Damage]:
    connection = sqlite3.connect(database)
    record = json.loads(connection.execute("SELECT record FROM run").fetchone()[0])
    connection.close()
    changed: list[object] = [*ODD, *({**record, key: odd} for key, odd in itertools.product(record, ODD))]
    info = record["info"]
    changed += [{**record, "info": {**info, key: odd}} for key, odd in itertools.product(info, ODD)]
    for text in ("[" * 100_000, *map(json.dumps, changed[::2])):
        yield sql(f"UPDATE run SET record = '{text.replace(chr(39), chr(39) * 2)}'")


def of_packed_values(_database: Path) -> Iterator[Damage]:
    yield from (partial(repack, seed) for seed in range(40))


def repack(seed: int, database: Path) -> None:
    """Replace a value somewhere in each of the compressed values of a table."""
    dice = random.Random(seed)
    table, column = dice.choice((("host", "assessment"), ("catalogue", "controls")))
    connection = sqlite3.connect(database)
    for (packed,) in connection.execute(f"SELECT {column} FROM {table}").fetchall():
        found = unpack(packed)
        place, key = dice.choice(list(inside([found])))
        place[key] = dice.choice(ODD)
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (pack(found), packed))
    connection.commit()
    connection.close()


def inside(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    for key in keys:
        yield value, key
        yield from inside(value[key])


@pytest.mark.parametrize("damages", [of_schema, of_types, of_bytes, of_records, of_packed_values])
def test_a_damaged_history_gives_no_internal_error(
    hardener: Hardener,
    fleet: FakeFleet,
    home: Path,
    tmp_path: Path,
    damages: Callable[[Path], Iterator[Damage]],
) -> None:
    audited(hardener, fleet, {"a": host(), "b": host("0666")})
    assert hardener("runs", "baseline", "latest").exit_code == 0
    audited(hardener, fleet, {"a": host("0666"), "b": "gone"})
    whole = home.rename(tmp_path / "whole")
    sql("PRAGMA wal_checkpoint(TRUNCATE)")(whole / "history.sqlite3")
    refused, turn = 0, 0
    for damage in damages(whole / "history.sqlite3"):
        shutil.copytree(whole, home)
        damage(home / "history.sqlite3")
        words = COMMANDS[turn % len(COMMANDS)]
        turn += 1
        out = str(tmp_path / f"out{turn}")
        done = hardener(*(word.replace("OUT", out) for word in words))
        assert done.exit_code != 1, (words, turn, done.stderr)
        refused += done.exit_code == 2
        if done.exit_code == 2:
            assert done.stderr.splitlines()[-1].startswith("hardener: error: "), done.stderr
        shutil.rmtree(home)
    assert refused > turn / 4
