"""Registries on loopback that answer as a test says, and signers."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.plugins.module_utils.trust.fake_registry import FakeRegistry, Signer


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    found = folder / "ca.crt", folder / "ca.key"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"),
            *("-out", str(found[0]), "-keyout", str(found[1])),
        ],
        check=True,
        capture_output=True,
    )
    return found


@pytest.fixture
def fake(tmp_path: Path, certificate: tuple[Path, Path]) -> Iterator[FakeRegistry]:
    """A registry that knows nothing yet."""
    registry = FakeRegistry(tmp_path, *certificate)
    yield registry
    registry.close()


@pytest.fixture
def other(tmp_path: Path, certificate: tuple[Path, Path]) -> Iterator[FakeRegistry]:
    """Another one, that the first may send people to."""
    registry = FakeRegistry(tmp_path, *certificate)
    yield registry
    registry.close()


@pytest.fixture(scope="session")
def key_pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Signer]]:
    """Where keys are, and the signers that were made so far: `openssl` takes its time."""
    return tmp_path_factory.mktemp("keys"), []


@pytest.fixture
def signer(key_pairs: tuple[Path, list[Signer]]) -> Callable[..., Signer]:
    """Another signer each time; options are those of ``openssl genpkey``."""
    folder, made = key_pairs
    unused = iter(range(100))

    def another(*options: str) -> Signer:
        if options:
            return Signer(folder, *options)
        number = next(unused)
        if number == len(made):
            made.append(Signer(folder))
        return made[number]

    return another
