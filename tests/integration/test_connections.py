"""Which connections a process begins, by the kernel's own tracing."""

from __future__ import annotations

import subprocess
import sys

from tests.integration.twinning import BESIDE

SCRIPT = """
import os, socket
from ansible_collections.hardener.docker.plugins.module_utils.record import connections, tools

def ours():
    return sorted(name for name in os.listdir(connections._INSTANCES) if name[-16:] in RUNS)

def connect(family, address, port):
    with socket.socket(family) as client:
        client.connect_ex((address, port))

def fork(work):
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    os.waitpid(child, 0)

RUNS = [letter * 16 for letter in "abc"]
tools.leave()  # the mounts of the host
lives = connections.Connections(RUNS[0], os.getpid())
fork(lambda: connections.Connections(RUNS[1], os.getpid()))  # is killed
assert len(ours()) == 2
other = connections.Connections(RUNS[2], os.getppid())
assert ours() == ["hardener-" + RUNS[0], "hardener-" + RUNS[2]]
fork(lambda: fork(lambda: connect(socket.AF_INET, "127.0.0.2", 9)))
connect(socket.AF_INET6, "::1", 10)
connect(socket.AF_INET6, "::ffff:127.0.0.3", 11)
print(sorted((str(address), port) for address, port in lives.begun()), sorted(other.begun()))
assert ours() == [] and lives.begun() == set()
"""


def test_connections_of_a_process_and_its_children_are_seen() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=BESIDE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[('127.0.0.2', 9), ('127.0.0.3', 11), ('::1', 10)] []\n"
