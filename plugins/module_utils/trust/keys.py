"""Verify signatures with the policy's keys and the host's `openssl`: no shell, no files on disk.

Keys and signatures are files in memory, which end with the process, however it ends.
"""

from __future__ import annotations

import os
import re
import subprocess
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
    """The keys of the policy, as files in memory for `openssl`, until the end of the context.

    Raises:
        Failed: `openssl` is missing, or there is no memory.
        PolicyError: a key is none that can be used.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._files: dict[str, int] = {}
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
        """Free the files' memory."""
        while self._files:
            os.close(self._files.popitem()[1])

    def signed(self, key: str, data: bytes, signature: bytes) -> bool:
        """Return whether this key has signed these bytes: ECDSA or RSA over SHA-256."""
        file = _in_memory(signature)
        try:
            arguments = ("dgst", "-sha256", "-verify", _path(self._files[key]), "-signature", _path(file))
            return _openssl(*arguments, data=data, files=(self._files[key], file))[0] == 0
        finally:
            os.close(file)

    def _add(self, key: str) -> None:
        if key in self._files:
            return
        file = self._files[key] = _in_memory(key.encode("utf-8", "replace"))
        code, said = _openssl("pkey", "-pubin", "-in", _path(file), "-noout", "-text", files=(file,))
        usable = _USABLE.match(said)
        if code != 0 or not usable:
            raise PolicyError(f"a key is not an ECDSA or RSA public key in PEM: {key[:40]!r}…")
        if "Modulus" in said and int(usable[1]) < 2048:
            raise PolicyError(f"an RSA key has {usable[1]} bits, and must have at least 2048")


def _in_memory(data: bytes) -> int:
    """Return the descriptor of a new file in memory.

    Raises:
        Failed: there is no memory.
    """
    try:
        file = os.memfd_create("openssl")
    except OSError as error:
        raise _unwritable(error) from None
    try:
        while data:
            data = data[os.write(file, data) :]
    except OSError as error:
        os.close(file)
        raise _unwritable(error) from None
    return file


def _unwritable(error: OSError) -> Failed:
    return Failed(f"cannot write a file in memory: {error.strerror or error}")


def _path(file: int) -> str:
    return f"/proc/self/fd/{file}"


def _openssl(*arguments: str, files: Sequence[int], data: bytes = b"") -> tuple[int, str]:
    """Return exit code and output of `openssl`, which gets these descriptors."""
    try:
        outcome = subprocess.run(
            [_OPENSSL, *arguments],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
            check=False,
            env=_ENVIRONMENT,
            pass_fds=files,
        )
    except OSError:
        raise Failed("openssl is missing on this host: install it") from None
    except subprocess.TimeoutExpired as expired:
        raise Failed(f"openssl did not end within {expired.timeout:g} s") from None
    return outcome.returncode, outcome.stdout.decode("utf-8", "replace")
