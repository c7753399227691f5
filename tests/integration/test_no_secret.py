"""No secret in anything that hardener writes: planted everywhere, looked for everywhere.

Whatever is compressed is unpacked first, and every file is searched for each secret as it is and in the
encodings that a report could bring it into.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from hardener.evidence.signature import NAMESPACE
from tests.integration.dockerd import IMAGE, Dockerd
from tests.integration.sshd import free_port
from tests.unit.evidence.bundles import new_key, public

HARDENER = (sys.executable, "-m", "hardener")


@dataclass(frozen=True)
class Planted:
    """The secrets by the place where they were planted."""

    values: dict[str, str] = field(default_factory=dict)

    def __call__(self, place: str) -> str:
        return self.values.setdefault(place, f"{place.replace(' ', '')}{secrets.token_hex(12)}")

    def found(self, data: bytes) -> set[str]:
        """Places of the secrets that are in these data, in whatever encoding."""
        return {place for place, value in self.values.items() if any(form in data for form in _forms(value))}


def _forms(value: str) -> Iterator[bytes]:
    raw = value.encode()
    yield raw
    yield raw.hex().encode()
    yield quote(value).encode()
    yield raw[::-1]
    for offset in range(3):  # base64 of it wherever it begins in what was encoded
        yield base64.b64encode(bytes(offset) + raw)[4:-4]


@pytest.fixture
def planted() -> Planted:
    return Planted()


@pytest.fixture
def engine(planted: Planted) -> Iterator[Dockerd]:
    """An engine whose own configuration, images, networks, volumes and containers are full of secrets."""
    proxy = f"http://proxyuser:{planted('proxy')}@127.0.0.1:9/"
    with Dockerd(config={"proxies": {"http-proxy": proxy, "https-proxy": proxy}}) as engine:
        _plant(engine, planted)
        yield engine


def _plant(engine: Dockerd, planted: Planted) -> None:
    engine.build(
        "planted:test",
        "\n".join(
            (
                f"FROM {IMAGE}",
                "ARG TOKEN",
                f"ENV GREETING={planted('image environment')}",
                f"RUN /bin/sh -c 'true --password={planted('build command')}'",
                f"LABEL api.token={planted('image label')}",
                f'HEALTHCHECK CMD ["/bin/true", "--password", "{planted("image healthcheck")}"]',
            )
        ),
        args={"TOKEN": planted("build argument")},
    )
    labels = {"app.secret": planted("network label")}
    engine.api("POST", "/networks/create", {"Name": "planted", "Labels": labels})
    mount = {"type": "cifs", "device": "//nas/x", "o": f"username=me,password={planted('volume option')}"}
    engine.api("POST", "/volumes/create", {"Name": "planted", "DriverOpts": mount})
    script = "; ".join(
        (
            f"export DB_PASSWORD={planted('shell assignment')}",
            f"PGPASSWORD='{planted('shell prefix')}' true",
            f'true -H "Authorization: Bearer {planted("http header")}"',
            f"true --requirepass {planted('redis option')}",
            f"true -u admin:{planted('curl user')} https://registry.example/v2/",
            f"""true '{{"password": "{planted("json argument")}"}}'""",
            "sleep 1000000",
        )
    )
    container = engine.run(
        "planted",
        image="planted:test",
        command=["sh", "-c", script, "--db-password", planted("command option")],
        env=[f"GREETING={planted('container environment')}", f"DB_PASSWORD={planted('container password')}"],
        labels={
            "traefik.basicauth.users": f"admin:{planted('container label')}",
            "note": f"password: {planted('label note')}",
            "db": f"postgres://app:{planted('label address')}@db.example/app",
        },
    )
    engine.create(
        "tools",
        command=["-uroot", f"-p{planted('tool option')}"],
        Entrypoint=["mysqladmin", "ping"],
        Healthcheck={"Test": ["CMD", "curl", "-u", f"admin:{planted('health check')}", "http://127.0.0.1/"]},
    )
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as files:
        for name, content in (
            ("run/secrets/db", planted("container file")),
            ("root/.docker/config.json", _credentials(planted("credentials in a container"))),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            files.addfile(member, io.BytesIO(content.encode()))
    engine.api("PUT", f"/containers/{container}/archive?path=/", archive.getvalue())
    engine.create(
        "logging",
        host_config={
            "LogConfig": {
                "Type": "splunk",
                "Config": {"splunk-token": planted("log token"), "splunk-url": "https://127.0.0.1:9"},
            }
        },
    )


def _credentials(password: str) -> str:
    code = base64.b64encode(f"me:{password}".encode()).decode()
    return json.dumps({"auths": {"registry.example": {"auth": code, "identitytoken": password}}})


@pytest.fixture
def inventory(engine: Dockerd, planted: Planted, tmp_path: Path) -> Path:
    hosts = {
        "docker01": {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "collect_socket": str(engine.socket),
            "ansible_become_password": planted("become password"),
            "app_db_password": planted("inventory variable"),
        },
        "gone": {
            "ansible_host": "127.0.0.1",
            "ansible_port": free_port(),
            "ansible_become_password": planted("become password of a host that is gone"),
        },
    }
    path = tmp_path / "inventory.yml"
    path.write_text(json.dumps({"all": {"hosts": hosts}}))
    return path


@pytest.fixture
def environment(planted: Planted, tmp_path: Path) -> dict[str, str]:
    """The operator's environment, with registry credentials at home and a secret in a variable."""
    home = tmp_path / "operator"
    (home / ".docker").mkdir(parents=True)
    (home / ".docker" / "config.json").write_text(_credentials(planted("registry credentials")))
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "SSH_"))}
    return {
        **inherited,
        "HOME": str(home),
        "DOCKER_CONFIG": str(home / ".docker"),
        "CI_JOB_TOKEN": planted("operator's environment"),
        "HARDENER_HOME": str(tmp_path / "written" / "home"),
        "TMPDIR": str(tmp_path / "written"),
        "NO_COLOR": "1",
    }


def test_no_written_file_contains_a_secret(
    inventory: Path, environment: dict[str, str], planted: Planted, tmp_path: Path
) -> None:
    written = tmp_path / "written"
    written.mkdir()
    key = new_key(tmp_path / "key")
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(f'auditor@example.com namespaces="{NAMESPACE}" {public(key)}\n')
    bundle = str(written / "bundle.tar.gz")
    commands: list[tuple[str, ...]] = [
        ("audit", "-v", "-i", str(inventory), "--snapshots", "snapshots", "--artifacts", "audit"),
        ("plan", "-v", "-i", str(inventory), "--json", "plan.json", "--artifacts", "plan"),
        ("harden", "-v", "-i", str(inventory), "--check", "--diff", "--artifacts", "harden"),
        ("evidence", "export", "latest", "--out", bundle, "--sign", str(key)),
        ("evidence", "verify", bundle, "--allowed-signers", str(allowed)),
    ]
    for number, command in enumerate(commands):
        ended = subprocess.run(
            [*HARDENER, *command],
            cwd=written,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=600,
        )
        (written / f"{number}.out").write_bytes(ended.stdout + ended.stderr)
        assert ended.returncode in (0, 3, 4), ended.stderr.decode()

    pieces = dict(_pieces(written)) | dict(_pieces(Path(environment["HOME"]) / ".ansible"))
    names = "\n".join(pieces)
    for expected in ("snapshots/docker01.json", "job_events", "report.html", "history.sqlite3 row", "stdout"):
        assert expected in names
    everything = b"\n".join(pieces.values())
    assert b"planted:test" in everything  # the container was seen at all
    leaks = {name: found for name, data in pieces.items() if (found := planted.found(data))}
    assert leaks == {}
    assert len(planted.values) > 20


def test_the_search_finds_a_planted_secret(planted: Planted, tmp_path: Path) -> None:
    value = planted("here")
    forms = {
        "plain": value.encode(),
        "base64": base64.b64encode(f"xy{value}z".encode()),
        "credentials": _credentials(value).encode(),
    }
    for name, data in forms.items():
        assert planted.found(data) == {"here"}, name
    database = sqlite3.connect(tmp_path / "history.sqlite3")
    with database:
        database.execute("CREATE TABLE host (blob)")
        database.execute("INSERT INTO host VALUES (?)", (zlib.compress(value.encode()),))
    database.close()
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(value.encode()))
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "a.json.gz", "inner.gz")
    found = {Path(name).name for name, data in _pieces(tmp_path) if planted.found(data)}
    assert found == {"history.sqlite3 row", "a.json.gz", "inner.gz"}


def _pieces(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Everything in a folder by its name, what is packed unpacked."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            name, data = str(path.relative_to(folder)), path.read_bytes()
            yield name, name.encode() + data
            yield from _unpacked(name, data)
            if data.startswith(b"SQLite format 3"):
                yield f"{name} row", b"\n".join(_rows(path))


def _unpacked(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    if not data.startswith(b"\x1f\x8b"):
        return
    plain = gzip.decompress(data)
    if not name.endswith(".tar.gz"):
        yield name, plain
        return
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        for member in archive.getmembers():
            if source := archive.extractfile(member):
                content = source.read()
                yield f"{name}/{member.name}", content
                yield from _unpacked(f"{name}/{member.name}", content)


def _rows(path: Path) -> Iterator[bytes]:
    """Every value of a database, what is compressed unpacked."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        for table in tables:
            for row in connection.execute(f"SELECT * FROM {table}"):
                yield from map(_value, row)
    finally:
        connection.close()


def _value(value: Any) -> bytes:
    if not isinstance(value, bytes):
        return str(value).encode()
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value
