"""Query registries over TLS: one persistent connection per host, and limits for all answers.

The only trusted answer of a registry is a body whose SHA-256 is the requested digest.
"""

from __future__ import annotations

import http.client
import re
import ssl
import time
from base64 import b64encode
from hashlib import sha256
from typing import Any, Mapping, NamedTuple, Sequence, cast
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit

from ..host import limited_json
from ..host.text import PORT, one_line
from . import login
from .findings import NotFound, Tampered, Unreachable

MANIFESTS = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_MAX_MANIFEST = 4 * 1024 * 1024  # the limit of registries themselves
_MAX_BLOB = 1024 * 1024  # a signature's payload; some hundred bytes
_TIMEOUT = 10.0  # seconds without a byte
_REQUEST = 30.0  # seconds for one answer, however slowly it arrives
# Seconds for all answers: the record must be written before the unit, or the command, times out.
_PATIENCE = 720.0
_REDIRECTS = 3
_HUB = "registry-1.docker.io"
_NO_SUCH_API = (400, 404, 405, 501)  # status codes of registries without this API
_PARAMETER = re.compile(r'(?<![a-z])([a-z]+)="([^"]*)"')
_PLACE = re.compile(rf"(?:[A-Za-z0-9][A-Za-z0-9._-]{{0,252}}|\[[0-9a-fA-F:.]{{2,45}}\])(?::{PORT})?")


class Settings(NamedTuple):
    """Paths of logins and certificates."""

    logins: tuple[str, ...] = login.LOGINS
    certificates: str = login.CERTIFICATES


USUAL = Settings()


class _Answer(NamedTuple):
    host: str
    status: int
    head: Mapping[str, str]  # names in lower case
    body: bytes


class _Patience:
    """The remaining time of all registries together."""

    def __init__(self) -> None:
        self.left = _PATIENCE


class _Socket(ssl.SSLSocket):
    """A socket with a deadline for the whole answer, including status, header and anything before these."""

    deadline = 0.0

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer exceeds the time limit")
        self.settimeout(min(_TIMEOUT, left))
        return super().recv_into(buffer, nbytes, flags)


class Registries:
    """Every queried registry, with one connection each. One that did not answer is not queried again."""

    def __init__(self, settings: Settings = USUAL) -> None:
        self._settings = settings
        self._patience = _Patience()
        self._known: dict[str, Registry] = {}

    def at(self, name: str) -> Registry:
        """Return the registry of this name."""
        if name not in self._known:
            self._known[name] = Registry(name, self._settings, self._patience)
        return self._known[name]

    def close(self) -> None:
        """Close all connections."""
        for each in self._known.values():
            each.close()


class Registry:
    """A registry, with a login or anonymous."""

    def __init__(self, name: str, settings: Settings, patience: _Patience) -> None:
        self._host = _HUB if name == "docker.io" else name
        self._name = name
        self._settings = settings
        self._patience = patience
        self._connections: dict[str, http.client.HTTPSConnection] = {}
        self._authorization: dict[str, str] = {}  # of each repository
        self._gone: dict[str, str] = {}  # why a host is no longer queried

    def manifest(self, path: str, reference: str) -> bytes:
        """Return the raw manifest of a tag or digest; for a digest, verify that the manifest has it.

        Raises:
            NotFound: the registry has none.
            Tampered: it answers something else.
            Unreachable: it cannot be asked.
        """
        body = self._get(path, "manifests/" + reference, _MAX_MANIFEST)
        return _checked(body, reference)

    def blob(self, path: str, digest: str) -> bytes:
        """Return a small blob; see ``manifest``."""
        return _checked(self._get(path, "blobs/" + digest, _MAX_BLOB), digest)

    def referrers(self, path: str, digest: str) -> bytes:
        """Return the index of a manifest's referrers; see ``manifest``."""
        return self._get(path, "referrers/" + digest, _MAX_MANIFEST, absent=_NO_SUCH_API)

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    # --- requests -------------------------------------------------------------------------------------------

    def _get(self, path: str, what: str, limit: int, absent: Sequence[int] = (404,)) -> bytes:
        url = f"https://{self._host}/v2/{path}/{what}"
        answer = self._ask(url, limit, self._authorization.get(path, ""))
        if answer.status == 401 and answer.host == self._host:  # a host of a redirect gets no login
            self._authorization[path] = self._log_in(answer.head.get("www-authenticate", ""), path)
            answer = self._ask(url, limit, self._authorization[path])
        if answer.status == 200:
            return answer.body
        if answer.status in absent:
            raise NotFound(f"{self._name} has no {path} {what}")
        said = f"{self._name} answers {answer.status}"
        raise Unreachable("login required: " + said if answer.status in (401, 403) else said)

    def _ask(self, url: str, limit: int, authorization: str) -> _Answer:
        """Return the answer to a GET request after redirects; only the first host gets the login."""
        place, home = _over_https(url), ""
        for _redirect in range(_REDIRECTS + 1):
            if place is None:
                raise Unreachable(f"{self._name} redirects to an address without https")
            home = home or place.netloc
            head = {"Accept": ", ".join((*MANIFESTS, "*/*")), "User-Agent": "hardener"}
            if authorization and place.netloc == home:
                head["Authorization"] = authorization
            answer = self._exchange(
                place.netloc, place.path + ("?" + place.query if place.query else ""), head, limit
            )
            if answer.status not in (301, 302, 303, 307, 308):
                return answer
            place = _over_https(answer.head.get("location", ""), base=place.geturl())
        raise Unreachable(f"{self._name} redirects more than {_REDIRECTS} times")

    def _exchange(self, host: str, target: str, head: dict[str, str], limit: int) -> _Answer:
        """Send one request; repeat it over a new connection if a persistent one was closed."""
        if host in self._gone:  # do not wait again for each of many images
            raise Unreachable(self._gone[host])
        if self._patience.left <= 0:
            raise Unreachable(f"{host} is skipped: the registries have taken too long")
        kept = host in self._connections
        try:
            return self._once(host, target, head, limit)
        except (http.client.HTTPException, OSError, ValueError) as error:
            self._connections.pop(host).close() if host in self._connections else None
            if kept and isinstance(error, (http.client.RemoteDisconnected, ConnectionError)):
                return self._exchange(host, target, head, limit)
            reason = f"{host} cannot be asked: {_reason(error)}"
            if isinstance(error, OSError):
                self._gone[host] = reason
            raise Unreachable(reason) from None

    def _once(self, host: str, target: str, head: dict[str, str], limit: int) -> _Answer:
        begun = time.monotonic()
        try:
            connection = self._connected(host)
            socket = cast("_Socket", connection.sock)
            socket.settimeout(_TIMEOUT)
            socket.deadline = time.monotonic() + _REQUEST
            return _answer(connection, host, target, head, limit)
        finally:
            self._patience.left -= time.monotonic() - begun

    def _connected(self, host: str) -> http.client.HTTPSConnection:
        if host not in self._connections:
            context = login.tls(host, self._settings.certificates)
            context.sslsocket_class = _Socket
            self._connections[host] = http.client.HTTPSConnection(host, timeout=_TIMEOUT, context=context)
        connection = self._connections[host]
        if connection.sock is None:
            connection.connect()
        return connection

    # --- authorization --------------------------------------------------------------------------------------

    def _log_in(self, challenge: str, path: str) -> str:
        """Return the authorization that a challenge requests.

        Raises:
            Unreachable: there is no login, or it is not taken.
        """
        known = login.find(self._name, self._settings.logins)
        scheme, _separator, rest = challenge.partition(" ")
        basic = ""
        if known:
            basic = "Basic " + b64encode(f"{known.user}:{known.password}".encode()).decode()
        if scheme.lower() == "basic":
            if not basic:
                raise Unreachable(f"login required: this host has no credentials for {self._name}")
            return basic
        parameters = dict(_PARAMETER.findall(rest))
        if scheme.lower() != "bearer" or not parameters.get("realm"):
            raise Unreachable(f"login required: {self._name} uses an unknown authentication scheme")
        query = {"scope": f"repository:{path}:pull"}
        if parameters.get("service"):
            query["service"] = parameters["service"]
        realm = parameters["realm"]
        url = "{}{}{}".format(realm, "&" if "?" in realm else "?", urlencode(query))
        answer = self._ask(url, _MAX_BLOB, basic)
        if answer.status != 200:
            raise Unreachable(f"login required: {urlsplit(realm).netloc} gives no token")
        return "Bearer " + _token(answer.body)


def _answer(
    connection: http.client.HTTPSConnection, host: str, target: str, head: Mapping[str, str], limit: int
) -> _Answer:
    connection.request("GET", target, headers=dict(head))
    response = connection.getresponse()
    pieces, size = [], 0
    while True:
        piece = response.read1(65536)
        if not piece:
            break
        size += len(piece)
        if size > limit:
            raise ValueError(f"the answer has more than {limit} bytes")
        pieces.append(piece)
    if response.length:
        raise ValueError("the answer was cut off")  # not the same as another answer
    response.close()  # `read1` leaves it open, and the connection would accept no other request
    fields = {name.lower(): value for name, value in response.getheaders()}
    return _Answer(host, response.status, fields, b"".join(pieces))


def digest_of(body: bytes) -> str:
    """Return the digest of a manifest or blob."""
    return "sha256:" + sha256(body).hexdigest()


def parsed(body: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        Unreachable: the body is not a JSON object.
    """
    try:
        found = limited_json.parse(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Unreachable("the registry's answer is not a JSON object")
    return found


def _checked(body: bytes, reference: str) -> bytes:
    if reference.startswith("sha256:") and digest_of(body) != reference:
        raise Tampered(f"the registry returned other content for {reference[:19]}…")
    return body


def _over_https(url: str, base: str = "") -> SplitResult | None:
    """Return the parts of an allowed URL; None if a registry sent an invalid or insecure one."""
    try:
        place = urlsplit(urljoin(base, url))
    except ValueError:
        return None
    return place if place.scheme == "https" and _PLACE.fullmatch(place.netloc) else None


def _token(body: bytes) -> str:
    answer = parsed(body)
    token = answer.get("token") or answer.get("access_token")
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]{1,16384}", token):
        raise Unreachable("login required: the answer holds no token")
    return token


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return one_line(getattr(error, "strerror", "") or str(error) or type(error).__name__)
