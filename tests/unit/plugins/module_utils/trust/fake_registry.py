"""A registry of our own making on loopback, with TLS, which answers as a test says: also as none should."""

from __future__ import annotations

import base64
import http.server
import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.trust.registry import (
    Registries,
    Settings,
    digest_of,
)

Answer = tuple[int, dict[str, str], bytes]


class FakeRegistry:
    """Answers by path; what it was asked, with which login, is in ``asked``."""

    def __init__(self, folder: Path, certificate: Path, key: Path) -> None:
        self.answers: dict[str, Answer | Callable[[Any], Answer]] = {}
        self.asked: list[tuple[str, str]] = []
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # or each answer waits 40 ms for an acknowledgement

            def do_GET(self) -> None:
                login = self.headers.get("Authorization", "")
                fake.asked.append((self.path, login))
                found = fake.answers.get(self.path, (404, {}, b"{}"))
                status, head, body = found if isinstance(found, tuple) else found(self)
                self.send_response(status)
                for name, value in head.items():
                    self.send_header(name, value)
                if "Content-Length" not in head:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # who hung up was right to
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.name = f"127.0.0.1:{self._server.server_address[1]}"
        self.certificates = folder / "certs.d"
        (self.certificates / self.name).mkdir(parents=True)
        shutil.copy(certificate, self.certificates / self.name / "ca.crt")
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def settings(self, *logins: Path) -> Settings:
        return Settings(logins=tuple(map(str, logins)), certificates=str(self.certificates))

    def registries(self, *logins: Path) -> Registries:
        return Registries(self.settings(*logins))

    def holds(self, path: str, body: bytes | dict[str, Any], *tags: str, kind: str = "manifests") -> str:
        """Have it hold a manifest or blob, under tags too; its digest."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        digest = digest_of(data)
        for reference in (digest, *tags):
            self.answers[f"/v2/{path}/{kind}/{reference}"] = (200, {}, data)
        return digest


class Signer:
    """A key pair of `openssl`'s, and signatures as cosign makes them."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._key = folder / f"{len(list(folder.iterdir()))}.pem"
        self._run(
            "genpkey",
            *(options or ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")),
            "-out",
            str(self._key),
        )
        self.public_key = self._run("pkey", "-in", str(self._key), "-pubout").decode()

    def sign(
        self,
        fake: FakeRegistry,
        path: str,
        digest: str,
        *,
        repository: str = "",
        payload: Any = None,
        kind: str = "cosign container image signature",
        certificate: str = "",
    ) -> None:
        """Have the registry hold our signature of a digest."""
        said = (
            payload
            if payload is not None
            else json.dumps(
                {
                    "critical": {
                        "identity": {"docker-reference": repository or f"{fake.name}/{path}"},
                        "image": {"docker-manifest-digest": digest},
                        "type": kind,
                    }
                }
            ).encode()
        )
        signature = self._run("dgst", "-sha256", "-sign", str(self._key), data=said)
        noted = {"dev.cosignproject.cosign/signature": base64.b64encode(signature).decode()}
        if certificate:
            noted["dev.sigstore.cosign/certificate"] = certificate
        layer = {
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "digest": fake.holds(path, said, kind="blobs"),
            "annotations": noted,
        }
        tag = digest.replace(":", "-") + ".sig"
        before = fake.answers.get(f"/v2/{path}/manifests/{tag}")
        layers = json.loads(before[2])["layers"] if isinstance(before, tuple) else []
        fake.holds(path, {"layers": [*layers, layer]}, tag)

    def bundle(
        self,
        fake: FakeRegistry,
        path: str,
        digest: str,
        *,
        api: bool = False,
        statement: dict[str, Any] | None = None,
        kind: str = "application/vnd.in-toto+json",
        signed_kind: str = "application/vnd.in-toto+json",
        material: dict[str, Any] | None = None,
        times: int = 1,
    ) -> None:
        """Have the registry hold our signature as a bundle, found by its API or under a tag."""
        said = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": digest.partition(":")[2]}}],
            "predicateType": "https://sigstore.dev/cosign/sign/v1",
            "predicate": {},
            **(statement or {}),
        }
        payload = json.dumps(said).encode()
        head = f"DSSEv1 {len(signed_kind)} {signed_kind} {len(payload)} ".encode()
        signature = self._run("dgst", "-sha256", "-sign", str(self._key), data=head + payload)
        bundle = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": material or {"publicKey": {"hint": "x"}},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": kind,
                "signatures": [{"sig": base64.b64encode(signature).decode()}] * times,
            },
        }
        blob = fake.holds(path, bundle, kind="blobs")
        child = fake.holds(path, {"layers": [{"mediaType": bundle["mediaType"], "digest": blob}]})
        listed = json.dumps({"manifests": [{"digest": child}]}).encode()
        place = f"referrers/{digest}" if api else f"manifests/{digest.replace(':', '-')}"
        fake.answers[f"/v2/{path}/{place}"] = (200, {}, listed)

    @staticmethod
    def _run(*arguments: str, data: bytes = b"") -> bytes:
        return subprocess.run(["openssl", *arguments], input=data, check=True, capture_output=True).stdout
