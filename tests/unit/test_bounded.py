from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from hardener.bounded import inflate, read


def test_a_file_above_the_limit_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x" * 10)
    assert read(path, most=10) == b"x" * 10
    with pytest.raises(ValueError, match="more than 9 bytes"):
        read(path, most=9)
    with pytest.raises(ValueError, match="more than"):
        read(Path("/dev/zero"), most=1000)


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_data_is_decompressed_within_the_limit(compress: Callable[[bytes], bytes]) -> None:
    packed = compress(b"x" * 1000)
    assert inflate(packed, most=1000) == b"x" * 1000
    with pytest.raises(ValueError, match="more than 999 bytes"):
        inflate(packed, most=999)
    for damaged in (packed[:-1], packed + b"y", b"x" + packed, b""):
        with pytest.raises(ValueError, match="compressed data"):
            inflate(damaged, most=1000)


def test_a_decompression_bomb_takes_little_memory() -> None:
    packed = zlib.compress(b"\0" * (256 << 20), 9)
    tracemalloc.start()
    with pytest.raises(ValueError, match="more than"):
        inflate(packed, most=1 << 20)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
