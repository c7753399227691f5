"""Notify by a command, which is started without a shell, or by a webhook, over HTTP."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import os
import re
import shlex
import signal
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from typing import IO
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from hardener import __version__, umask
from hardener.errors import HardenerError
from hardener.notify.message import NotDelivered, Target
from hardener.text import line

_TIMEOUT_S = 30.0
_HINT = "give a URL with https, or http://localhost… for this machine"


class Webhook(Target):
    """A URL with ``https``, or with ``http`` on loopback; redirections are not followed.

    Args:
        url: the address; user and password in it are sent as basic authentication.
        timeout: time limit in seconds from the first byte to the last.

    Raises:
        HardenerError: this is not such an address. The message does not contain it.
    """

    def __init__(self, url: str, *, timeout: float = _TIMEOUT_S) -> None:
        self._timeout = timeout
        try:
            if not url.isascii() or not url.isprintable() or " " in url:
                raise ValueError
            parts = urlsplit(url)
            self._host = parts.hostname or ""
            if parts.port == 0:
                raise ValueError
            port = f":{parts.port}" if parts.port is not None else ""
        except ValueError:
            raise HardenerError("invalid notification URL", hint=_HINT) from None
        self._loopback = _is_loopback(self._host)
        if not self._host or parts.scheme not in ("https", "http"):
            raise HardenerError("invalid notification URL", hint=_HINT)
        if parts.scheme == "http" and not self._loopback:
            raise HardenerError("the notification URL begins with http, which is not encrypted", hint=_HINT)
        place = (f"[{self._host}]" if ":" in self._host else self._host) + port
        self._name = f"{parts.scheme}://{place}"
        self._headers = {"Content-Type": "application/json", "User-Agent": f"hardener/{__version__}"}
        self._headers |= _authorization(parts)
        self._url = urlunsplit((parts.scheme, place, parts.path or "/", parts.query, ""))

    @property
    def name(self) -> str:
        """Return scheme, host and port; the rest may contain a token."""
        return self._name

    def send(self, message: bytes) -> None:
        """Post the message; a status of 2xx means success."""
        # A socket timeout restarts with every byte, and name resolution has none.
        failed: list[str] = []
        thread = threading.Thread(target=self._post, args=(message, failed), name="webhook", daemon=True)
        thread.start()
        thread.join(self._timeout)
        if thread.is_alive():
            raise NotDelivered(f"the server did not answer within {self._timeout:.0f} s")
        if failed:
            raise NotDelivered(failed[0])

    def _post(self, message: bytes, failed: list[str]) -> None:
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
            self._url, data=message, headers=self._headers, method="POST"
        )
        # Never use a proxy for loopback addresses.
        proxies = [urllib.request.ProxyHandler({})] if self._loopback else []
        try:
            opener = urllib.request.build_opener(_NoRedirection, *proxies)
            with opener.open(request, timeout=self._timeout):
                pass
        except urllib.error.HTTPError as error:
            error.close()
            failed.append(f"the server answered with status {error.code}")
        except urllib.error.URLError as error:
            failed.append(_reason(error.reason))
        except (OSError, http.client.HTTPException, ValueError) as error:
            failed.append(_reason(error))


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    """Refuses redirections, since the server must not choose another destination for the message."""

    def redirect_request(  # noqa: PLR0917 - the signature is urllib's
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:
        """Do not follow a redirection: it is the final answer."""


def _reason(error: object) -> str:
    """Describe a failure: system errors by text, others by type, since their text may contain the URL."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _authorization(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"}


_READ = 4096  # bytes of its output
_QUOTED = re.compile(r"\\.|'[^']*'|\"(?:[^\"\\$`]|\\.)*\"", re.DOTALL)  # what a shell leaves as it is, too
_SHELL = re.compile(r"[|&;<>()$`\n]")


class Command(Target):
    """A command that the user gave, split into words like in a shell, without other shell syntax.

    Args:
        text: the command and its arguments.
        timeout: its time limit in seconds.

    Raises:
        HardenerError: the text is empty, its quotes do not match, or it needs a shell.
    """

    def __init__(self, text: str, *, timeout: float = _TIMEOUT_S) -> None:
        try:
            self._words = shlex.split(text)
        except ValueError as error:
            raise HardenerError(f"invalid notification command: {error}") from error
        if not self._words or "\0" in text:
            raise HardenerError("the notification command is empty")
        if found := _SHELL.search(_QUOTED.sub("", text)):
            raise HardenerError(
                f"the notification command is started without a shell, which {found[0]!r} needs",
                hint=f"quote it, or give the command to a shell: {shlex.join(['sh', '-c', 'COMMAND'])}",
            )
        self._timeout = timeout

    @property
    def name(self) -> str:
        """Return the program; its arguments may be secret."""
        return self._words[0]

    def send(self, message: bytes) -> None:
        """Run the command. Its output is not printed: standard output has the report."""
        # A file instead of a pipe: background processes that it leaves running do not block this one.
        with tempfile.TemporaryFile() as said:
            try:
                process = subprocess.Popen(
                    self._words,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    start_new_session=True,
                    umask=umask.given(),
                )
            except OSError as error:
                raise NotDelivered(error.strerror or str(error)) from error
            try:
                process.communicate(message, timeout=self._timeout)
            except subprocess.TimeoutExpired as error:
                raise NotDelivered(f"the command did not finish within {self._timeout:.0f} s") from error
            finally:
                _end(process)
            if process.returncode:
                size = said.seek(0, os.SEEK_END)
                said.seek(max(0, size - _READ))
                words = said.read(_READ).decode("utf-8", "replace").strip().splitlines()
                why = f": {line(words[-1])}" if words else ""
                raise NotDelivered(f"{_ending(process.returncode)}{why}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and its children if it still runs."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin:
        with suppress(OSError):  # input that it has not read is lost
            process.stdin.close()


def _ending(code: int) -> str:
    return f"signal {-code} ended the command" if code < 0 else f"exit code {code}"
