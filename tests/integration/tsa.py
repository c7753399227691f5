"""A time-stamping authority of one's own: OpenSSL behind an HTTP server on loopback."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.leftovers import clear, folder

_CONFIGURATION = """
[ req ]
distinguished_name = name
prompt = no
[ name ]
CN = Test time-stamping authority
[ stamping ]
extendedKeyUsage = critical,timeStamping
[ tsa ]
default_tsa = default
[ default ]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""


class Authority:
    """The authority. ``answer`` may be set: what it says instead of a time stamp."""

    def __init__(self) -> None:
        self.answer: bytes | None = None
        self.asked: list[bytes] = []
        self.folder = folder("tsa")
        (self.folder / "openssl.cnf").write_text(_CONFIGURATION.format(folder=self.folder))
        (self.folder / "serial").write_text("01\n")
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")  # Ed25519 cannot stamp
        self._openssl("req", "-x509", *key, "-days", "2", *self._certificate())
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        clear(self.folder)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/tsr"

    @property
    def certificates(self) -> Path:
        return self.folder / "authority.pem"

    def stamp(self, query: bytes) -> bytes:
        """The answer to a request."""
        (self.folder / "query").write_bytes(query)
        self._openssl(
            *("ts", "-reply", "-config", str(self.folder / "openssl.cnf"), "-section", "default"),
            *("-queryfile", str(self.folder / "query"), "-out", str(self.folder / "answer")),
            *("-signer", str(self.certificates), "-inkey", str(self.folder / "key.pem")),
        )
        return (self.folder / "answer").read_bytes()

    def _certificate(self) -> tuple[str, ...]:
        return (
            *("-config", str(self.folder / "openssl.cnf"), "-extensions", "stamping"),
            *("-keyout", str(self.folder / "key.pem"), "-out", str(self.certificates)),
        )

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["Content-Length"]))
                authority.asked.append(query)
                answer = authority.stamp(query) if authority.answer is None else authority.answer
                self.send_response(200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_request(self, *_: Any) -> None:
                pass

        return Handler
