"""Read the files that decide whose signature is accepted: allowed signers, and revoked keys.

ssh-keygen accepts a pattern or a list as the name of a signer (``*``, ``!x,*``), and then reports any name
that matches; and with an unreadable file of revoked keys it refuses every signature without a reason. Here a
signer has one name, and an invalid line is reported.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hardener.errors import HardenerError
from hardener.evidence import sshkey
from hardener.text import line

KRL = b"SSHKRL\n\0"  # the first bytes of a key revocation list of ssh-keygen -k

_OPTION = r'[A-Za-z-]+(?:="(?:[^"\\]|\\"|\\(?!"))*")?'
_ALLOWED = re.compile(
    rf'[ \t]*(?P<signer>"[^"]*"|\S+)[ \t]+(?:(?P<options>{_OPTION}(?:,{_OPTION})*)[ \t]+)?'
    r"[a-z0-9@.-]+[ \t]+(?P<key>[A-Za-z0-9+/]+=*)(?:[ \t].*)?\r?"
)
_OPTIONS = re.compile(_OPTION)


@dataclass(frozen=True, slots=True)
class AllowedSigners:
    """A file of allowed signers."""

    lines: bytes  # with the file's line numbers; ignored lines are empty
    refused: Mapping[bytes, str]  # keys in base64 whose line is ignored, with the reason

    def refusal(self, key: bytes) -> str:
        """Return why the line of a key is ignored; empty if no line of the key is ignored."""
        return self.refused.get(base64.b64encode(key), "")


def read_allowed(path: Path) -> AllowedSigners:
    """Read a file of allowed signers.

    A certificate authority may have patterns: they restrict the names in its certificates.

    Raises:
        HardenerError: it cannot be read.
    """
    refused = {}
    kept = []
    for number, text in enumerate(_read(path).split(b"\n"), 1):
        found = _ALLOWED.fullmatch(text.decode("utf-8", "surrogateescape"))
        counts = found is not None
        if found and not _is_authority(found["options"] or ""):
            counts = sshkey.is_name(found["signer"])
            if not counts:
                reason = f"line {number} of {path}: {not_a_name(found['signer'])}"
                refused[found["key"].encode()] = reason
        kept.append(text if counts else b"")
    return AllowedSigners(b"\n".join(kept), refused)


def _is_authority(options: str) -> bool:
    """Return whether a line's options say that its key is of a certificate authority."""
    return any(option.lower() == "cert-authority" for option in _OPTIONS.findall(options))


def read_revoked(path: Path) -> bytes:
    """Read a file of revoked keys: the output of ``ssh-keygen -k``, or one public key on each line.

    Raises:
        HardenerError: it cannot be read, or one of its lines is not a key.
    """
    data = _read(path)
    if data.startswith(KRL):
        return data
    # Lines end where ssh-keygen ends them: text after a lone carriage return belongs to the line before, and
    # revokes nothing there.
    for number, text in enumerate(data.split(b"\n"), 1):
        if b"\r" in text.removesuffix(b"\r"):
            raise HardenerError(
                f"{line(str(path))}: line {number} has a carriage return within it",
                hint="end lines with a line feed",
            )
        if not text.strip() or text.lstrip().startswith(b"#"):
            continue
        if sshkey.public_half(text) is None:
            raise HardenerError(
                f"{line(str(path))}: line {number} is not a public key",
                hint="write one public key on each line, or use a list from `ssh-keygen -k`",
            )
    return data


def not_a_name(signer: str) -> str:
    """Describe why this cannot be the name of a signer."""
    return f"{line(repr(signer))} is a pattern or a list; a signer has one name, so write a line for each"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HardenerError(f"cannot read {line(str(path))}: {error.strerror}") from error
