"""Verify signatures with the policy's keys and the host's `openssl`: no shell, no remaining files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from typing import Sequence

from ..host.errors import Failed
from .findings import PolicyError

_USABLE = re.compile(r"(?:RSA )?Public-Key: \(([0-9]+) bit")
_OPENSSL = "openssl"
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "OPENSSL_CONF": "/dev/null",
}


class Keys:
    """The keys of the policy, as files for `openssl`, while the context lasts.

    Raises:
        Failed: `openssl` is missing, or there is no room for files.
        PolicyError: a key is none that can be used.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._files: dict[str, str] = {}
        try:
            self._folder = tempfile.mkdtemp(prefix="hardener-trust-")
        except OSError as error:
            raise _unwritable(error) from None
        try:
            for key in keys:
                self._add(key)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Keys:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def signed(self, key: str, data: bytes, signature: bytes) -> bool:
        """Return whether this key has signed these bytes: ECDSA or RSA over SHA-256."""
        path = os.path.join(self._folder, "signature")
        _write(path, signature)
        arguments = ("dgst", "-sha256", "-verify", self._files[key], "-signature", path)
        return _openssl(*arguments, data=data)[0] == 0

    def _add(self, key: str) -> None:
        if key in self._files:
            return
        path = os.path.join(self._folder, f"key{len(self._files)}.pem")
        _write(path, key.encode("utf-8", "replace"))
        code, said = _openssl("pkey", "-pubin", "-in", path, "-noout", "-text")
        usable = _USABLE.match(said)
        if code != 0 or not usable:
            raise PolicyError(f"a key is not an ECDSA or RSA public key in PEM: {key[:40]!r}…")
        if "Modulus" in said and int(usable[1]) < 2048:
            raise PolicyError(f"an RSA key has {usable[1]} bits, and must have at least 2048")
        self._files[key] = path


def _write(path: str, data: bytes) -> None:
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError as error:
        raise _unwritable(error) from None


def _unwritable(error: OSError) -> Failed:
    return Failed(f"cannot write temporary files: {error.strerror or error}")


def _openssl(*arguments: str, data: bytes = b"") -> tuple[int, str]:
    """Return exit code and output of `openssl`."""
    try:
        outcome = subprocess.run(
            [_OPENSSL, *arguments],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
            check=False,
            env=_ENVIRONMENT,
        )
    except OSError:
        raise Failed("openssl is missing on this host: install it") from None
    except subprocess.TimeoutExpired as expired:
        raise Failed(f"openssl did not end within {expired.timeout:g} s") from None
    return outcome.returncode, outcome.stdout.decode("utf-8", "replace")
