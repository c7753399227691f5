"""Hosts on a private ssh server that answer what they like: each has a key that runs a program of ours."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.integration.sshd import Sshd

HARDENER = (sys.executable, "-m", "hardener")
SNAPSHOT = '{"schema":"hardener/snapshot/2","sources":{}}'
# A host that answers at once, however busy this machine is, and one that never does.
QUICK = f"answer(b'{{\"result\":{SNAPSHOT}}}')"
SILENT = "time.sleep(100000)"

# Reads what Ansible sends (its command is in SSH_ORIGINAL_COMMAND), and answers what it is told to.
_PROGRAM = """\
import base64, json, os, re, signal, sys, time, zlib

def say(data):
    os.write(1, data)

def ready():
    "Let become and the like go on, and take the script."
    found = re.search("BECOME-SUCCESS-[a-z]+", os.environ.get("SSH_ORIGINAL_COMMAND", ""))
    if found:
        say(found[0].encode() + b"\\n")
    sent = b""
    while len(sent) < 1000 or not sent.endswith(b"="):
        piece = os.read(0, 65536)
        if not piece:
            break
        sent += piece
        if len(sent) % 4 == 0:
            try:
                return zlib.decompress(base64.b64decode(sent)).decode()
            except (zlib.error, ValueError):
                pass
    return zlib.decompress(base64.b64decode(sent)).decode()

def marker():
    "What an answer stands between."
    return re.search("host-script-[0-9a-f]+", ready())[0].encode()

def answer(text, head=b'{"python": "3.11", "executable": "/usr/bin/python3"}', cut=None, around=None):
    "The bytes of an answer, as the bootstrap would give them; with ``cut`` so many of them, packed."
    around = around or marker()
    blob = base64.b64encode(zlib.compress(text, 1)[:cut])
    say_all(b"\\n" + around + b" " + head + b"\\n" + blob + b"\\n" + around + b"\\n")

def answer_by_entry(answers):
    "Answer each request by the function that it calls, and no other request at all."
    try:
        request = ready().rpartition('"entry": ')[2]
        result = answers[request.split('"')[1].partition(".")[2]]
    except (KeyError, ValueError, zlib.error):
        time.sleep(100000)
    answer(
        ('{"result":' + result + "}").encode(),
        around=re.search("host-script-[0-9a-f]+", request)[0].encode(),
    )

def say_all(data):
    while data:
        data = data[os.write(1, data):]

signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
"""


class HostileSshd:
    """A real server with hosts that are not; and listeners that are no servers at all."""

    def __init__(self, server: Sshd) -> None:
        self._server = server

    def host(self, name: str, code: str, **variables: Any) -> dict[str, Any]:
        """Inventory variables of a host on which every session runs this code."""
        key = self._server.key(f"hostile_{name}")
        program = self._server.root / f"{name}.py"
        program.write_text(f"{_PROGRAM}\n{code}\n")
        option = f'command="exec /usr/bin/python3 -IS {program}"'
        with (self._server.root / "authorized_keys").open("a") as keys:
            keys.write(f"{option} {key.with_suffix('.pub').read_text()}")
        # Ansible shares connections by address, port and user; these are told apart by their keys.
        shared = f"-o ControlMaster=auto -o ControlPersist=60s -o ControlPath={self._server.root}/cp-{name}"
        return self._server.variables(
            **{
                "ansible_ssh_private_key_file": str(key),
                "ansible_ssh_args": f"{shared} -o IdentitiesOnly=yes",
                **variables,
            }
        )


def answering(answers: Mapping[str, Any]) -> str:
    """Code of a host that answers requests by the functions that they call: ``snapshot.main:collect``.

    Args:
        answers: results by the functions; to all other requests it is silent.
    """
    encoded = {name: json.dumps(each, separators=(",", ":")) for name, each in answers.items()}
    return f"answer_by_entry(json.loads({json.dumps(encoded)!r}))"


def ssh_processes(marker: str) -> list[str]:
    """The ssh clients that have this in their command line or title."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if marker in line and (entry / "comm").read_text().strip() == "ssh":
                found.append(line)
    return found


@contextmanager
def listener(banner: bytes = b"") -> Iterator[int]:
    """A port that takes connections, says this much, and no more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def work() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    taken.append(connection)
                    connection.sendall(banner)

        threading.Thread(target=work, daemon=True).start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for each in taken:
                each.close()
