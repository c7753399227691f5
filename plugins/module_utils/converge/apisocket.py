"""The engine's API on TCP: whether its certificates fit, and whom it lets in."""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import closing
from typing import Any, Callable, Mapping

TLS_FILES = ("tlscacert", "tlscert", "tlskey")

_TIMEOUT = 5
_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - it is asked, not bound
_REQUEST = b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n"

Read = Callable[[str], "bytes | None"]


def problem(config: Mapping[str, Any], read: Read) -> str:
    """What is wrong with the certificates of a configuration; empty where the engine can use them.

    Args:
        config: daemon.json.
        read: content that a path will have, None where there will be nothing.
    """
    for key in ("tls", "tlsverify"):
        if not isinstance(config.get(key, False), bool):
            return f"{key} has to be true or false"
    if not (config.get("tls") or config.get("tlsverify")):
        return ""
    contents = {}
    for key in TLS_FILES:
        path = config.get(key)
        if not isinstance(path, str) or not path.startswith("/"):
            continue
        content = read(path)
        if content is None:
            return f"{key} {path}: there is no such file"
        contents[key] = content
    if len(contents) == len(TLS_FILES):
        return _unfit(contents)
    return ""


def _unfit(contents: Mapping[str, bytes]) -> str:
    """Why the engine would not start with these: not what they should be, or not of each other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(cadata=contents["tlscacert"].decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        return f"tlscacert is no certificate of an authority: {error}"
    handles = []
    try:
        for key in ("tlscert", "tlskey"):
            handles.append(os.memfd_create(key, 0))
            os.write(handles[-1], contents[key])
        # The password is asked for where a key has one, and the engine has nobody to ask.
        certificate, key_file = (f"/proc/self/fd/{handle}" for handle in handles)
        context.load_cert_chain(certificate, key_file, password="")
    except (OSError, ValueError) as error:
        return f"tlscert and tlskey do not belong together, or are no PEM: {error}"
    finally:
        for handle in handles:
            os.close(handle)
    return ""


def lets_in(address: str) -> str:
    """How an API on ``host:port`` lets in whoever comes without a certificate; empty where it does not.

    Raises:
        OSError: nobody listens there.
    """
    host, _separator, port = address.rpartition(":")
    host = host.strip("[]")
    where = (_ANY.get(host, host), int(port))
    with closing(socket.create_connection(where, timeout=_TIMEOUT)) as connection:
        if _answered(connection):
            return "it answers without TLS"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # who it is does not matter, only whom it takes
    with closing(socket.create_connection(where, timeout=_TIMEOUT)) as connection:
        try:
            # To somebody without a certificate it says no after the handshake, in TLS 1.3.
            with context.wrap_socket(connection) as encrypted:
                if _answered(encrypted):
                    return "it answers who has no certificate"
        except OSError:
            pass
    return ""


def _answered(connection: socket.socket) -> bool:
    """Whether the API does what it is asked for."""
    try:
        connection.sendall(_REQUEST)
        status = connection.recv(64).split()
    except OSError:
        return False
    return len(status) > 1 and status[1] == b"200"
