"""Check the engine's TCP API: its certificates, and which clients it accepts."""

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
    """Return what is wrong with the certificates of a configuration; empty if the engine can use them.

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
        return _file_problem(contents)
    return ""


def _file_problem(contents: Mapping[str, bytes]) -> str:
    """Return why the engine would not start with these files: they are malformed, or do not match."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_verify_locations(cadata=contents["tlscacert"].decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        return f"tlscacert is not the certificate of an authority: {error}"
    handles = []
    try:
        for key in ("tlscert", "tlskey"):
            handles.append(os.memfd_create(key, 0))
            os.write(handles[-1], contents[key])
        # OpenSSL would prompt for the password of an encrypted key; the engine has no terminal.
        certificate, key_file = (f"/proc/self/fd/{handle}" for handle in handles)
        context.load_cert_chain(certificate, key_file, password="")
    except (OSError, ValueError) as error:
        return f"tlscert and tlskey do not match, or are not PEM: {error}"
    finally:
        for handle in handles:
            os.close(handle)
    return ""


def lets_in(address: str) -> str:
    """Return how an API on ``host:port`` accepts clients without a certificate; empty if it refuses them.

    Raises:
        OSError: nothing listens there.
    """
    host, _separator, port = address.rpartition(":")
    host = host.strip("[]")
    where = (_ANY.get(host, host), int(port))
    with closing(socket.create_connection(where, timeout=_TIMEOUT)) as connection:
        if _answered(connection):
            return "it answers without TLS"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the server's identity is irrelevant here
    with closing(socket.create_connection(where, timeout=_TIMEOUT)) as connection:
        try:
            # In TLS 1.3 a server refuses a client without a certificate only after the handshake.
            with context.wrap_socket(connection) as encrypted:
                if _answered(encrypted):
                    return "it answers clients without a certificate"
        except OSError:
            pass
    return ""


def _answered(connection: socket.socket) -> bool:
    """Return whether the API answers a request."""
    try:
        connection.sendall(_REQUEST)
        status = connection.recv(64).split()
    except OSError:
        return False
    return len(status) > 1 and status[1] == b"200"
