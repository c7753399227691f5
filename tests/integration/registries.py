"""Real registries on loopback, with TLS and where wanted a login; cosign and notary to sign with.

    with Authority() as authority, Registry(authority) as registry:
        registry.name          # 127.0.0.1:41234
        authority.trusted_by(registry)  # a folder like /etc/docker/certs.d

What is missing is an error and not a skip: `make test-packages` installs docker-registry, notary and cosign.
"""

from __future__ import annotations

import base64
import ctypes
import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.integration.sshd import free_port
from tests.leftovers import clear, folder, tied

_OPENSSL = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
USER, PASSWORD = "robot", "correct horse"


class _Folder:
    """A temporary folder for as long as the context lasts."""

    def __init__(self, kind: str) -> None:
        self.root = folder(kind)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove it."""
        clear(self.root)


class Authority(_Folder):
    """A certificate of its own for 127.0.0.1, which is its own authority."""

    def __init__(self) -> None:
        super().__init__("ca")
        self.certificate, self.key = self.root / "ca.crt", self.root / "ca.key"
        subprocess.run(
            [
                *_OPENSSL,
                *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
                *("-days", "2", "-keyout", str(self.key), "-out", str(self.certificate)),
            ],
            check=True,
            capture_output=True,
        )

    def trusted_by(self, *registries: Registry) -> Path:
        """A folder like /etc/docker/certs.d that trusts these registries."""
        folder = self.root / "certs.d"
        for registry in registries:
            (folder / registry.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(self.certificate, folder / registry.name / "ca.crt")
        return folder


class _Server(_Folder):
    """A server program that listens on a port."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.port = free_port()
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def name(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def launch(self, *command: str, **environment: str) -> None:
        """Start a program that the context ends."""
        program = shutil.which(command[0])
        assert program, f"{command[0]} is missing: make test-packages"
        with (self.root / "log").open("ab") as log:
            self.processes.append(
                subprocess.Popen(
                    tied(program, *command[1:]),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **environment},
                    start_new_session=True,
                )
            )

    def wait(self, path: str = "/v2/") -> None:
        """Wait until it answers over TLS, and says that it is well."""
        context = ssl._create_unverified_context()
        deadline = time.monotonic() + 120
        while True:
            with suppress(OSError):
                connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=5, context=context)
                connection.request("GET", path)
                status = connection.getresponse().status
                connection.close()
                if status < 500:
                    return
            ended = [process for process in self.processes if process.poll() is not None]
            assert not ended, (self.root / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (self.root / "log").read_text()[-2000:]
            time.sleep(0.05)

    def stop(self) -> None:
        """End it; its data stays."""
        for process in self.processes:
            process.terminate()
            process.wait(timeout=30)
        self.processes.clear()

    def close(self) -> None:
        """End it and remove its data."""
        self.stop()
        super().close()


class Registry(_Server):
    """docker-registry. With ``login`` it wants ``USER`` and ``PASSWORD``."""

    def __init__(self, authority: Authority, *, login: bool = False) -> None:
        super().__init__("registry")
        self.storage = self.root / "storage"
        config: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(self.storage)}, "delete": {"enabled": True}},
            "http": {
                "addr": self.name,
                "tls": {"certificate": str(authority.certificate), "key": str(authority.key)},
            },
        }
        if login:
            (self.root / "htpasswd").write_text(f"{USER}:{_bcrypt(PASSWORD)}\n")
            config["auth"] = {"htpasswd": {"realm": "test", "path": str(self.root / "htpasswd")}}
        (self.root / "config.yml").write_text(json.dumps(config))  # JSON is YAML

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.launch("docker-registry", "serve", str(self.root / "config.yml"), OTEL_TRACES_EXPORTER="none")
        self.wait()

    def blob(self, digest: str) -> Path:
        """Where it keeps a blob or manifest."""
        digits = digest.removeprefix("sha256:")
        return self.storage / "docker/registry/v2/blobs/sha256" / digits[:2] / digits / "data"

    def point(self, path: str, tag: str, digest: str) -> None:
        """Have a tag lead to another digest, as whoever owns the registry's disk can."""
        self.tag_link(path, tag).write_text(digest)

    def tag_link(self, path: str, tag: str) -> Path:
        """The file that says which digest a tag leads to."""
        repositories = self.storage / "docker/registry/v2/repositories"
        return repositories / path / "_manifests/tags" / tag / "current/link"


class Notary(_Server):
    """notary-server with notary-signer behind it."""

    def __init__(self, authority: Authority) -> None:
        super().__init__("notary")
        tls = {"tls_cert_file": str(authority.certificate), "tls_key_file": str(authority.key)}
        signer, grpc = self.root / "signer.json", free_port()
        signer.write_text(
            json.dumps(
                {
                    "server": {
                        "grpc_addr": f"127.0.0.1:{grpc}",
                        **tls,
                        "client_ca_file": str(authority.certificate),
                    },
                    "storage": {"backend": "memory"},
                }
            )
        )
        server = self.root / "server.json"
        server.write_text(
            json.dumps(
                {
                    "server": {"http_addr": self.name, **tls},
                    "trust_service": {
                        "type": "remote",
                        "hostname": "127.0.0.1",
                        "port": str(grpc),
                        "key_algorithm": "ecdsa",
                        "tls_ca_file": str(authority.certificate),
                        "tls_client_cert": str(authority.certificate),
                        "tls_client_key": str(authority.key),
                    },
                    "storage": {"backend": "memory"},
                }
            )
        )
        passphrases = {
            f"NOTARY_SIGNER_{name}": "signer-passphrase" for name in ("DEFAULT_ALIAS", "TIMESTAMP")
        }
        self.launch("notary-signer", f"-config={signer}", "-logf=logfmt", **passphrases)
        _wait_for_port(grpc)  # the server takes it for dead where it is asked too early
        self.launch("notary-server", f"-config={server}", "-logf=logfmt")

    def __enter__(self) -> Self:
        try:
            self.wait("/_notary_server/health")
        except BaseException:
            self.close()
            raise
        return self


class Cosign(_Folder):
    """A key pair of cosign's, and what it signs."""

    def __init__(self, authority: Authority, *, home: Path | None = None) -> None:
        super().__init__("cosign")
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home or self.root),
            "COSIGN_PASSWORD": "pw",
            "COSIGN_YES": "true",
            "SSL_CERT_FILE": str(authority.certificate),
        }
        self._run("generate-key-pair")

    @property
    def public_key(self) -> str:
        """In PEM."""
        return (self.root / "cosign.pub").read_text()

    def sign(self, image: str, *options: str) -> None:
        """Sign a digest of a repository, without any transparency log."""
        self._run("sign", "--key", "cosign.key", "--tlog-upload=false", *options, image)

    def _run(self, *arguments: str) -> None:
        outcome = subprocess.run(
            ["cosign", *arguments],
            cwd=self.root,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert outcome.returncode == 0, outcome.stderr


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"nobody listens on port {port}"
            time.sleep(0.05)


def login_file(folder: Path, registry: Registry) -> Path:
    """What ``docker login`` leaves."""
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    path = folder / "config.json"
    path.write_text(json.dumps({"auths": {registry.name: {"auth": auth}}}))
    return path


def _bcrypt(password: str) -> str:
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    found: bytes = crypt(password.encode(), b"$2b$05$abcdefghijklmnopqrstuu")
    assert found
    assert found.startswith(b"$2")
    return found.decode()


def docker(engine_host: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The docker client, with an environment of its own."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    return subprocess.run(
        ["docker", "--host", engine_host, *arguments],
        env={**inherited, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
