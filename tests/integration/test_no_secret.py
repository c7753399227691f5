"""No secret in anything that hardener writes: planted everywhere, looked for everywhere.

Recordings, profiles and proofs are searched in test_record.py, test_record_userns.py and test_prove.py.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import sqlite3
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hardener.evidence.signature import NAMESPACE
from tests.integration.dockerd import IMAGE, Dockerd
from tests.integration.planting import Planted, pieces
from tests.integration.sshd import free_port
from tests.unit.evidence.bundles import new_key, public

HARDENER = (sys.executable, "-m", "hardener")


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


def test_no_file_has_a_secret(
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
        ("workload", "audit", "-v", "-i", str(inventory), "--json", "workloads.json"),
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
        assert ended.returncode in (0, 3, 4, 9), ended.stderr.decode()

    everything = pieces(written) | pieces(Path(environment["HOME"]) / ".ansible")
    names = "\n".join(everything)
    for expected in ("snapshots/docker01.json", "job_events", "report.html", "history.sqlite3 row", "stdout"):
        assert expected in names
    assert b"planted:test" in b"\n".join(everything.values())  # the container was seen at all
    assert planted.leaks(everything) == {}
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
    found = {Path(name).name for name in planted.leaks(pieces(tmp_path))}
    assert found == {"history.sqlite3 row", "a.json.gz", "inner.gz"}
