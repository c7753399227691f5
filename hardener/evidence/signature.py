"""Sign and verify with what every control node has: ``ssh-keygen -Y``.

Keys in an agent, on a token and behind a certificate work as they do for ssh. Who may sign is the reader's
decision, in an ``allowed_signers`` file that comes from elsewhere than the bundle.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hardener.errors import HardenerError
from hardener.evidence.refusal import Refused
from hardener.text import line

NAMESPACE = "evidence@hardener"
MAX_SIGNATURE = 64 << 10  # bytes; an RSA key's with a certificate has six thousand

_ARMOUR = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)\n-----END SSH SIGNATURE-----\n", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed, as the file of allowed signers calls them."""

    principal: str
    fingerprint: str  # "SHA256:…", as ssh-keygen -l prints it


def sign(data: bytes, key: Path) -> bytes:
    """An armoured signature in our namespace.

    A passphrase is asked for on the terminal.

    Args:
        data: what is signed.
        key: file of a private key; or of a public key, whose private half is in the agent.

    Raises:
        HardenerError: there is no such key, or nobody can sign with it.
    """
    require_key(key)
    result = _ssh_keygen("sign", "-f", str(key), "-n", NAMESPACE, data=data)
    if result.returncode or not _ARMOUR.fullmatch(result.stdout):
        reason = _last(result.stderr) or f"ssh-keygen ended with {result.returncode}"
        raise HardenerError(f"cannot sign with {line(str(key))}: {reason}")
    return result.stdout


def require_key(key: Path) -> None:
    """Refuse a key that cannot be read, before the work that it is to sign.

    Raises:
        HardenerError: it cannot.
    """
    try:
        with key.open("rb"):
            pass
    except OSError as error:
        raise HardenerError(f"cannot sign with {line(str(key))}: {error.strerror}") from error


def verify(data: bytes, signature: bytes, *, allowed: Path, at: datetime, name: str) -> Signer:
    """Who signed, if it is one of those who may.

    Args:
        data: what was signed.
        signature: the armoured signature.
        allowed: the ``allowed_signers`` file; times in it without a zone are UTC.
        at: when the key must have been valid.
        name: what the signature is called in refusals.

    Raises:
        Refused: it is no signature of these data by somebody who may sign evidence at that time.
        HardenerError: the file of allowed signers cannot be read.
    """
    try:
        accepted = allowed.read_bytes()
    except OSError as error:
        raise HardenerError(f"cannot read {line(str(allowed))}: {error.strerror}") from error
    key, namespace = _parse(signature, name)
    fingerprint = _fingerprint(key)
    if namespace != NAMESPACE.encode():
        shown = namespace.decode("utf-8", "backslashreplace")
        raise Refused(name, f"signed in the namespace {shown!r}, not {NAMESPACE!r}: it is for something else")
    when = f"-Overify-time={at.astimezone(UTC):%Y%m%d%H%M%S}"
    with tempfile.TemporaryDirectory(prefix="hardener-") as folder:
        file = Path(folder) / "signature"
        file.write_bytes(signature)
        signers = Path(folder) / "signers"  # what was given may be a pipe, and ssh-keygen reads it twice
        signers.write_bytes(accepted)
        common = ("-f", str(signers), "-s", str(file), when)
        found = _ssh_keygen("find-principals", *common)
        if found.returncode:
            raise Refused(name, _unknown(fingerprint, found.stderr, allowed))
        principals = found.stdout.decode("utf-8", "replace").splitlines()
        reason = ""
        for principal in principals:
            checked = _ssh_keygen("verify", "-n", NAMESPACE, "-I", principal, *common, data=data)
            if checked.returncode == 0:
                return Signer(principal, fingerprint)
            reason = _last(checked.stderr)
    raise Refused(name, f"not a signature of this bundle by {', '.join(principals)}: {reason}")


def _unknown(fingerprint: str, said: bytes, allowed: Path) -> str:
    """Why nobody in the file of allowed signers is the one who signed."""
    reasons = [text for text in said.decode("utf-8", "replace").splitlines() if "key " in text]
    if not reasons:
        return f"signed with the key {fingerprint}, which is none of {allowed}"
    return f"the key {fingerprint} may not sign: {reasons[-1]}"


def _parse(signature: bytes, name: str) -> tuple[bytes, bytes]:
    """Public key and namespace of an armoured signature (PROTOCOL.sshsig of OpenSSH)."""
    found = _ARMOUR.fullmatch(signature)
    try:
        blob = base64.b64decode(found[1].replace(b"\n", b""), validate=True) if found else b""
        if blob[:10] != b"SSHSIG\0\0\0\1":
            raise ValueError
        key, rest = _string(blob[10:])
        namespace, _ = _string(rest)
    except (ValueError, binascii.Error):
        raise Refused(name, "not an SSH signature") from None
    return key, namespace


def _string(data: bytes) -> tuple[bytes, bytes]:
    """The string that data begin with, and what follows it."""
    length = int.from_bytes(data[:4], "big")
    if len(data) < 4 + length:
        raise ValueError("cut off")
    return data[4 : 4 + length], data[4 + length :]


def _fingerprint(key: bytes) -> str:
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode("ascii")
    return f"SHA256:{digest.rstrip('=')}"


def _ssh_keygen(what: str, *arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command: Sequence[str] = ("ssh-keygen", "-Y", what, *arguments)
    # UTC: the same file of allowed signers means the same everywhere.
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        return subprocess.run(command, input=data, capture_output=True, check=False, env=environment)
    except FileNotFoundError:
        raise HardenerError("ssh-keygen is missing", hint="install OpenSSH's client") from None


def _last(said: bytes) -> str:
    """The last thing that ssh-keygen said, which is why it failed."""
    lines = [text for text in said.decode("utf-8", "replace").splitlines() if text.strip()]
    return line(lines[-1]) if lines else ""
