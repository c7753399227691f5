"""Read registry logins of `docker login`, and the certificates that dockerd trusts."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
from base64 import b64decode
from typing import Any, NamedTuple, Sequence

from ..host.layout import SETTINGS
from ..host.text import one_line
from .findings import Unreachable

LOGINS = (f"{SETTINGS}/docker-config.json", "/root/.docker/config.json")
CERTIFICATES = "/etc/docker/certs.d"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HELPER = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LARGEST = 1024 * 1024
_HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io")


class Login(NamedTuple):
    """Credentials for a registry."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.user!r}, …)"


def find(registry: str, files: Sequence[str] = LOGINS) -> Login | None:
    """Return the login for a registry from the first file that has one; None if there is none.

    Raises:
        Unreachable: there is one that cannot be used; says why.
    """
    for path in files:
        config = _read(path)
        helper = (_table(config, "credHelpers").get(registry)) or config.get("credsStore")
        for name in _HUB_KEYS if registry == "docker.io" else (registry, "https://" + registry):
            entry = _table(config, "auths").get(name)
            # It replaces the password of the entry.
            if isinstance(entry, dict) and entry.get("identitytoken"):
                raise Unreachable(f"{path}: a login by identity token is not supported")
            if isinstance(entry, dict) and entry.get("auth"):
                return _decoded(str(entry["auth"]), path)
        if helper:
            found = _from_helper(str(helper), _HUB_KEYS[0] if registry == "docker.io" else registry, path)
            if found:
                return found
    return None


def tls(registry: str, folder: str = CERTIFICATES) -> ssl.SSLContext:
    """Return a TLS context for a registry with the certificates of its folder, as dockerd uses them.

    Raises:
        Unreachable: a certificate or key there cannot be read.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python requires this from 3.13 on, dockerd does not: private authorities often omit the key usage.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    place = os.path.join(folder, registry)
    try:
        names = sorted(os.listdir(place))
    except OSError:
        return context
    for name in names:
        path = os.path.join(place, name)
        try:
            if name.endswith(".crt"):
                context.load_verify_locations(cafile=path)
            elif name.endswith(".cert"):
                context.load_cert_chain(path, path[: -len("cert")] + "key", password=_no_password)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise Unreachable(f"{path}: {one_line(str(error))}") from None
    return context


def _no_password() -> str:
    """Raise an error for an encrypted key: without this callback OpenSSL would prompt for its password."""
    raise ValueError("the client key has a password, which dockerd does not support")


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
        found = json.loads(data)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise Unreachable(
            "{}: {}".format(path, one_line(getattr(error, "strerror", "") or "is not JSON"))
        ) from None
    return found if isinstance(found, dict) else {}


def _table(config: dict[str, Any], key: str) -> dict[str, Any]:
    found = config.get(key)
    return found if isinstance(found, dict) else {}


def _decoded(text: str, path: str) -> Login:
    try:
        user, _separator, password = b64decode(text, validate=True).decode().partition(":")
    except ValueError:
        raise Unreachable(f"{path}: a login in the file cannot be decoded") from None
    return Login(user, password.strip("\0"))


def _from_helper(helper: str, server: str, path: str) -> Login | None:
    """Return the login from a credential helper of docker; None if it has none for this server."""
    if not _HELPER.fullmatch(helper):
        raise Unreachable(f"{path}: {helper[:80]!r} is not the name of a credential helper")
    program = "docker-credential-" + helper
    environment = {"PATH": _PATH, "HOME": "/root"}
    try:
        outcome = subprocess.run(
            [program, "get"],
            input=server.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=15,
            check=False,
            env=environment,
        )
        if outcome.returncode != 0:
            return None
        found = json.loads(outcome.stdout)
        known = Login(str(found["Username"]), str(found["Secret"]))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        raise Unreachable(f"{program} gives no login for {server}") from None
    if known.user == "<token>":  # a helper marks an identity token with this user name
        raise Unreachable(f"{program}: a login by identity token is not supported")
    return known
