"""The file that stands in for a kernel setting in tests/faults does what a guest's setting does."""

from __future__ import annotations

import inspect
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import sysctl

from hardener import lab
from tests.faults import transaction

# What a run reads and writes by, as it is.
FUNCTIONS = "\n".join(inspect.getsource(each) for each in (sysctl._read, sysctl._write))
# Every order in which the sweep may set one: to what a run wants, back, and to what it was.
VALUES = [
    *itertools.chain.from_iterable(itertools.permutations(("0", "1", "2"), 3)),
    *transaction.BEFORE.values(),
    *transaction.VALUES.values(),
]
ON_GUEST = """
import json, os, sys
from typing import Optional
ROOT = "/proc/sys"
{functions}
found = []
for path in ("kernel/kptr_restrict", "net/ipv4/conf/all/log_martians"):
    for value in json.load(open("/tmp/values")):
        _write(path, value)
        found.append([path, value, _read(path)])
found.append(_read("kernel/not_there"))
try:
    _write("kernel/not_there", "1")
except OSError as error:
    found.append(error.errno)
print(json.dumps(found))
"""


def stood_in(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What becomes of the same on files."""
    monkeypatch.setattr(sysctl, "ROOT", str(root))
    found: list[Any] = []
    for path in ("kernel/kptr_restrict", "net/ipv4/conf/all/log_martians"):
        (root / path).parent.mkdir(parents=True)
        (root / path).write_text("0\n")
        for value in VALUES:
            sysctl._write(path, value)
            found.append([path, value, sysctl._read(path)])
    found.append(sysctl._read("kernel/not_there"))
    with pytest.raises(OSError) as caught:  # noqa: PT011 - its number is compared
        sysctl._write("kernel/not_there", "1")
    return [*found, caught.value.errno]


def test_the_stand_in_behaves_like_kernel_settings(
    guest: lab.Guest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guest.ssh("sh", "-c", "cat >/tmp/values", stdin=json.dumps(VALUES))
    real = json.loads(guest.ssh("python3", "-c", ON_GUEST.format(functions=FUNCTIONS)).stdout)
    assert real == stood_in(tmp_path, monkeypatch)
