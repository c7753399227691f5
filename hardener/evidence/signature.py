"""Sign and verify with ``ssh-keygen -Y``, which every control node has.

Keys in an agent, on a token and with a certificate work as for ssh, unless they are weak. The reader decides
who may sign, by an ``allowed_signers`` file that does not come from the bundle.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hardener.errors import HardenerError
from hardener.evidence.refusal import Refused
from hardener.text import line
from hardener.workfolder import temporary_folder

NAMESPACE = "evidence@hardener"
MAX_SIGNATURE = 64 << 10  # bytes; the signature of an RSA key with a certificate has six thousand
_KRL = b"SSHKRL\n\0"  # the first bytes of a key revocation list of ssh-keygen -k

_ARMOUR = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)\n-----END SSH SIGNATURE-----\n", re.ASCII
)
_NAME = re.compile(r"""[^\s,*?!"'\\#]+""")
# Text in quotes; ssh-keygen refuses a line without the second quote.
_QUOTED = re.compile(rb'"(?:[^"\\]|\\+[^\\])*(?:"|\\*\Z)')


@dataclass(frozen=True, slots=True)
class Signer:
    """The signer, with the name in the file of allowed signers."""

    principal: str
    fingerprint: str  # "SHA256:…", as ssh-keygen -l prints it


def sign(data: bytes, key: Path) -> bytes:
    """Return an armoured signature in our namespace.

    A passphrase is asked for on the terminal.

    Args:
        data: the data to sign.
        key: file of a private key; or of a public key, whose private half is in the agent.

    Raises:
        HardenerError: there is no such key, it is weak, or it cannot be used.
    """
    require_key(key)
    result = _ssh_keygen("-Y", "sign", "-f", str(key), "-n", NAMESPACE, data=data)
    if result.returncode or not _ARMOUR.fullmatch(result.stdout):
        reason = _last(result.stderr) or f"ssh-keygen ended with {result.returncode}"
        raise HardenerError(f"cannot sign with {line(str(key))}: {reason}")
    return result.stdout


def require_key(key: Path) -> None:
    """Refuse an unreadable or weak key before the export.

    Raises:
        HardenerError: it cannot be read, or is weak.
    """
    exported = _ssh_keygen("-e", "-m", "RFC4716", "-f", str(key))
    if exported.returncode:
        reason = _last(exported.stderr).removeprefix("ssh-keygen: ").removeprefix(f"{key}: ")
        raise HardenerError(f"cannot sign with {line(str(key))}: {reason}")
    _begin, _comment, *encoded, _end = exported.stdout.splitlines()
    if objection := _objection(base64.b64decode(b"".join(encoded))):
        raise HardenerError(
            f"cannot sign with {line(str(key))}: it is {objection}",
            hint="make one with ssh-keygen -t ed25519",
        )


def _objection(blob: bytes) -> str:
    """Describe the problem of a key for signing; empty where there is none."""
    try:
        return weakness(blob)
    except (ValueError, RecursionError):
        return "not a readable public key"


def verify(
    data: bytes, signature: bytes, *, allowed: Path, at: datetime, name: str, revoked: Path | None = None
) -> Signer:
    """Return the signer if the signature is valid and the signer is allowed.

    Args:
        data: the signed data.
        signature: the armoured signature.
        allowed: the ``allowed_signers`` file; times in it without a zone are UTC.
        revoked: revoked keys, independent of the time of signing.
        at: the time at which the key must have been valid.
        name: the name of the signature in refusals.

    Raises:
        Refused: it is not a signature of these data by a signer who is allowed at that time.
        HardenerError: a file of allowed signers or revoked keys cannot be read.
    """
    listed = _read(allowed)
    key, namespace = _parse(signature, name)
    fingerprint = _fingerprint(key)
    if objection := _objection(key):
        raise Refused(name, f"signed with {fingerprint}: {objection}")
    if namespace != NAMESPACE.encode():
        shown = namespace.decode("utf-8", "backslashreplace")
        raise Refused(
            name, f"signed in the namespace {shown!r}, not {NAMESPACE!r}: it is for another purpose"
        )
    when = f"-Overify-time={at.astimezone(UTC):%Y%m%d%H%M%S}"
    with temporary_folder() as folder:
        file = folder / "signature"
        file.write_bytes(signature)
        # The input may be a pipe, and ssh-keygen reads it twice.
        names = folder / "signers"
        names.write_bytes(_one_name_a_line(listed))
        without = _without(revoked, folder) if revoked else ()
        common = ("-f", str(names), "-s", str(file), when)
        found = _ssh_keygen("-Y", "find-principals", *common)
        if found.returncode:
            names.write_bytes(listed)
            ignored = _ssh_keygen("-Y", "find-principals", *common).stdout.decode("utf-8", "replace")
            reason = _not_a_name(ignored.strip()) if ignored else ""
            raise Refused(name, reason or _unknown_signer(fingerprint, found.stderr, allowed))
        principals = found.stdout.decode("utf-8", "replace").splitlines()
        reason = ""
        for principal in principals:
            if not is_name(principal):
                reason = _not_a_name(principal)
                continue
            who = ("-Y", "verify", "-n", NAMESPACE, "-I", principal, *common)
            checked = _ssh_keygen(*who, data=data)
            if checked.returncode:
                reason = _last(checked.stderr)
            elif without and _ssh_keygen(*who, *without, data=data).returncode:
                raise Refused(name, f"the key {fingerprint} of {line(principal)} is revoked by {revoked}")
            else:
                return Signer(principal, fingerprint)
    raise Refused(name, f"not a signature of this bundle by {', '.join(principals)}: {reason}")


def is_name(text: str) -> bool:
    """Return whether this names one signer: no pattern, no list, no invisible character."""
    return text.isprintable() and _NAME.fullmatch(text) is not None


def _not_a_name(signer: str) -> str:
    return f"{line(repr(signer))} is a pattern or a list; a signer has one name, so write a line for each"


def _one_name_a_line(signers: bytes) -> bytes:
    """Remove lines whose signer is a pattern or a list, which ssh-keygen takes for any name that matches.

    A certificate authority may have patterns: they restrict the names in its certificates.
    """
    kept = []
    for text in signers.split(b"\n"):
        words = re.split(rb"[ \t]+", _QUOTED.sub(b'""', text).strip(b" \t\r"), maxsplit=2)
        authority = b"cert-authority" in b"".join(words[1:2]).lower().split(b",")
        if authority or is_name(words[0].decode("utf-8", "replace")):
            kept.append(text)
    return b"\n".join((*kept, b""))


def _without(revoked: Path, folder: Path) -> tuple[str, ...]:
    """Return the arguments that make ssh-keygen refuse revoked keys; it reads a list made of their file.

    A file that ssh-keygen cannot read would make it refuse every signature without a reason.
    """
    content = _read(revoked)
    copy, krl = folder / "revoked", folder / "krl"
    if content.startswith(_KRL):
        krl.write_bytes(content)
        checked = _ssh_keygen("-Q", "-l", "-f", str(krl))
    elif re.search(rb"\r(?!\n)|\0", content):  # ssh-keygen ignores the key after it
        raise HardenerError(f"{line(str(revoked))} has a carriage return or a null byte within a line")
    else:
        copy.write_bytes(content.replace(b"\r\n", b"\n"))
        checked = _ssh_keygen("-k", "-f", str(krl), str(copy))
    if checked.returncode:
        reason = _last(checked.stderr).replace(f"{copy}:", "line ")
        raise HardenerError(
            f"{line(str(revoked))} is not a list of revoked keys: {reason}",
            hint="write one public key on each line, or use a list from `ssh-keygen -k`",
        )
    return ("-r", str(krl))


def _unknown_signer(fingerprint: str, output: bytes, allowed: Path) -> str:
    """Describe why no allowed signer matches the signature."""
    reasons = [text for text in output.decode("utf-8", "replace").splitlines() if "key " in text]
    if not reasons:
        return f"signed with the key {fingerprint}, which {allowed} does not list"
    return f"the key {fingerprint} may not sign: {reasons[-1]}"


def _parse(signature: bytes, name: str) -> tuple[bytes, bytes]:
    """Return public key and namespace of an armoured signature (PROTOCOL.sshsig of OpenSSH)."""
    found = _ARMOUR.fullmatch(signature)
    try:
        blob = base64.b64decode(found[1].replace(b"\n", b""), validate=True) if found else b""
        if blob[:10] != b"SSHSIG\0\0\0\1":
            raise ValueError
        key, rest = read_string(blob[10:])
        namespace, _ = read_string(rest)
    except (ValueError, binascii.Error):
        raise Refused(name, "not an SSH signature") from None
    return key, namespace


def _fingerprint(key: bytes) -> str:
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode("ascii")
    return f"SHA256:{digest.rstrip('=')}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HardenerError(f"cannot read {line(str(path))}: {error.strerror}") from error


def _ssh_keygen(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command: Sequence[str] = ("ssh-keygen", *arguments)
    # In UTC, so that a file of allowed signers means the same everywhere.
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        return subprocess.run(command, input=data, capture_output=True, check=False, env=environment)
    except FileNotFoundError:
        raise HardenerError("ssh-keygen is missing", hint="install OpenSSH's client") from None


def _last(output: bytes) -> str:
    """Return the last line of ssh-keygen's output, which has the reason."""
    lines = [text for text in output.decode("utf-8", "replace").splitlines() if text.strip()]
    return line(lines[-1]) if lines else ""


MIN_RSA_BITS = 3072
_MAX_RSA_BITS = 16384  # more than that OpenSSH does not read
_SMALL_FACTORS = math.lcm(*range(1, 1000))
_KEYLESS = "whose signatures can be made without the private key"

# The points of Ed25519 whose order divides 8, by their y coordinate. OpenSSH accepts them as keys; without a
# private key, about one of eight attempts gives a valid signature, or more.
_ED25519_FIELD = 2**255 - 19
_ED25519_EIGHT = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_ED25519_SMALL_ORDER = frozenset([0, 1, _ED25519_FIELD - 1, _ED25519_EIGHT, _ED25519_FIELD - _ED25519_EIGHT])

# Types that may sign, with the number of strings after the type in the blob.
_KINDS = {
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
_CERTIFICATE = "-cert-v01@openssh.com"


def weakness(blob: bytes) -> str:
    """Return why the key in a public key or a certificate may not sign evidence; empty if it may.

    The authority of a certificate may not be weak either.

    Raises:
        ValueError: it is neither.
    """
    raw, rest = read_string(blob)
    kind = raw.decode("ascii")
    if not kind.endswith(_CERTIFICATE):
        return _weakness(kind, rest)
    base = kind.removesuffix(_CERTIFICATE)
    base = base if base in _KINDS else f"{base}@openssh.com"
    _nonce, rest = read_string(rest)
    if found := _weakness(base, rest):
        return found
    for _ in range(_KINDS[base]):
        _, rest = read_string(rest)
    # Identifier after serial number and type, names, options after the validity, extensions, reserved.
    for skipped in (12, 0, 16, 0, 0):
        _, rest = read_string(rest[skipped:])
    authority = weakness(read_string(rest)[0])
    return authority and f"its certificate is signed with {authority}"


def read_string(data: bytes) -> tuple[bytes, bytes]:
    """Read the string at the beginning of data; return the string and the remaining data.

    Raises:
        ValueError: it is cut off.
    """
    length = int.from_bytes(data[:4], "big")
    if len(data) < 4 or len(data) < 4 + length:
        raise ValueError("cut off")
    return data[4 : 4 + length], data[4 + length :]


def _weakness(kind: str, fields: bytes) -> str:
    if kind == "ssh-dss":
        return "a DSA key, which is too weak"
    if kind not in _KINDS:
        return f"a key of the kind {kind}, which is not one of {', '.join(_KINDS)}"
    first, rest = read_string(fields)
    if "ed25519" in kind:
        y = int.from_bytes(first, "little") & ((1 << 255) - 1)
        small = len(first) != 32 or y % _ED25519_FIELD in _ED25519_SMALL_ORDER
        return f"an Ed25519 key {_KEYLESS}" if small else ""
    if kind != "ssh-rsa":
        return ""
    return _rsa_weakness(int.from_bytes(first, "big"), int.from_bytes(read_string(rest)[0], "big"))


def _rsa_weakness(exponent: int, modulus: int) -> str:
    bits = modulus.bit_length()
    if bits < MIN_RSA_BITS:
        return f"an RSA key of {bits} bits, fewer than {MIN_RSA_BITS}"
    if bits > _MAX_RSA_BITS:
        return f"an RSA key of {bits} bits, more than {_MAX_RSA_BITS}"
    is_prime = pow(2, modulus - 1, modulus) == 1
    if exponent < 3 or exponent % 2 == 0 or math.gcd(modulus, _SMALL_FACTORS) > 1 or is_prime:
        return f"an RSA key {_KEYLESS}"
    return ""
