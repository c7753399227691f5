"""Issue the TLS certificates of an engine's TCP API, on the controller (`roles/docker_daemon/README.md`)."""

from __future__ import annotations

import fcntl
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..module_utils.render import docker_daemon_tls
from ..plugin_utils.files import write
from ..plugin_utils.specification import documented

_CA_DAYS = 3650
_RENEW = timedelta(days=30)
_CLOCKS_DIFFER_BY = timedelta(hours=1)
_DNS = re.compile(r"(?=.{1,253}$)(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")

_ARGUMENTS = documented(__name__)


class ActionModule(ActionBase):
    """The action; plugins/modules/daemon_certificates.py documents it."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(_ARGUMENTS)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Issue missing, expiring and mismatched certificates, and return the paths of all files."""
        super().run(tmp, task_vars)
        _checked, args = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        directory = Path(docker_daemon_tls.generated_files(args["directory"], args["host"])["ca"]).parent
        try:
            made = make(directory, host=args["host"], names=args["names"], days=args["days"])
        except (OSError, ValueError) as error:
            raise AnsibleActionFail(f"no certificates can be made in {directory}: {error}") from error
        return {"changed": bool(made.new), "msg": _summary(made), **made.paths()}


class Made(NamedTuple):
    """The paths of all files, and which certificates are new."""

    directory: Path
    host: str
    new: tuple[str, ...]

    def paths(self) -> dict[str, str]:
        """Return the paths in the form of the task's result."""
        return docker_daemon_tls.generated_files(str(self.directory), self.host)


class _Pair(NamedTuple):
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def read(cls, certificate: Path, key: Path) -> _Pair | None:
        """Read a certificate and its EC key; return None if one is missing, or the key is another one."""
        try:
            found = x509.load_pem_x509_certificate(certificate.read_bytes())
            secret = load_pem_private_key(key.read_bytes(), password=None)
        except FileNotFoundError:
            return None
        if not isinstance(secret, ec.EllipticCurvePrivateKey):
            return None
        same = secret.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        there = found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return cls(found, secret) if same == there else None

    def write(self, certificate: Path, key: Path) -> None:
        """Write both files, the key readable only by its owner."""
        secret = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write(key, secret, 0o600)
        _write(certificate, self.certificate.public_bytes(Encoding.PEM), 0o644)

    @property
    def fresh(self) -> bool:
        """Return whether the certificate is valid for more than 30 days from now."""
        return self.certificate.not_valid_after_utc - datetime.now(UTC) > _RENEW


def make(directory: Path, *, host: str, names: Sequence[str], days: int) -> Made:
    """Issue certificates that are missing, about to expire, or do not match the host.

    Args:
        directory: where it all is; made for its owner alone.
        host: whose certificate it is.
        names: names and addresses that clients reach the host by.
        days: how long certificates are valid; the authority's is valid for ten years.

    Raises:
        OSError: a file cannot be read or written.
        ValueError: a name is not valid, or a file is not what it should be.
    """
    if not _RENEW.days < days <= _CA_DAYS:
        raise ValueError(f"days is {days}: it must be from {_RENEW.days + 1} to {_CA_DAYS}")
    wanted = [_name(name) for name in dict.fromkeys(names)]
    paths = {name: Path(path) for name, path in Made(directory, host, ()).paths().items()}
    client = paths["client"]
    new: list[str] = []
    for folder in (directory, paths["cert"].parent, client):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(directory):
        ca = _Pair.read(paths["ca"], directory / "ca-key.pem")
        if ca is None and paths["ca"].exists():
            # Never replace an authority silently: a new one locks out all clients of the old one.
            raise ValueError(
                "ca-key.pem is missing, does not match ca.pem or is not an EC key: put the right key back, or"
                " remove ca.pem to make a new authority"
            )
        if ca is None or not ca.fresh:
            ca = _authority(host)
            ca.write(paths["ca"], directory / "ca-key.pem")
            new.append("authority")
        server = _Pair.read(paths["cert"], paths["key"])
        if server is None or not (server.fresh and _signed(server, ca) and set(wanted) <= _names(server)):
            server = _issue(ca, host, days=days, usage=ExtendedKeyUsageOID.SERVER_AUTH, names=wanted)
            server.write(paths["cert"], paths["key"])
            new.append("server")
        user = _Pair.read(client / "cert.pem", client / "key.pem")
        if user is None or not (user.fresh and _signed(user, ca)):
            user = _issue(ca, "docker client", days=days, usage=ExtendedKeyUsageOID.CLIENT_AUTH, names=())
            user.write(client / "cert.pem", client / "key.pem")
            new.append("client")
        _write(client / "ca.pem", ca.certificate.public_bytes(Encoding.PEM), 0o644)
    return Made(directory, host, tuple(new))


def _authority(host: str) -> _Pair:
    """Create a certificate authority that is used only for the APIs of engines."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"hardener Docker API {host}")
    usage = {"key_cert_sign": True, "crl_sign": True}
    built = (
        _builder(subject, subject, key.public_key(), key.public_key(), days=_CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(usage), critical=True)
    )
    return _Pair(built.sign(key, hashes.SHA256()), key)


def _issue(
    ca: _Pair, name: str, *, days: int, usage: x509.ObjectIdentifier, names: Sequence[x509.GeneralName]
) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = ca.certificate.subject
    built = (
        _builder(_subject(name), issuer, key.public_key(), ca.key.public_key(), days=days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage({"digital_signature": True}), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    )
    if names:
        built = built.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _Pair(built.sign(ca.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    issuers_key: ec.EllipticCurvePublicKey,
    *,
    days: int,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS_DIFFER_BY)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuers_key), critical=False)
    )


def _key_usage(given: Mapping[str, bool]) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: given.get(name, False) for name in every})


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        if not _DNS.fullmatch(text):
            raise ValueError(f"{text!r} is neither an address nor a name of a host") from None
        return x509.DNSName(text)


def _names(pair: _Pair) -> set[x509.GeneralName]:
    try:
        return set(pair.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return set()


def _signed(pair: _Pair, ca: _Pair) -> bool:
    try:
        pair.certificate.verify_directly_issued_by(ca.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Lock the folder: several hosts may share it, and Ansible works on them in parallel."""
    with (directory / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file atomically with its mode; leave a file with the same content unchanged."""
    if path.exists() and path.read_bytes() == content:
        return
    write(path, content, mode=mode, durable=True)


def _summary(made: Made) -> str:
    if not made.new:
        return f"certificates of {made.host} are valid: {made.directory}"
    return f"certificates issued for {made.host}: {', '.join(made.new)}, in {made.directory}"
