"""Measure how much a recording slows nginx down, compared with strace, and a database that it copies.

ab runs in the network of the server, so that nothing of hardener's lies between them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from bench.workloads.running import hardener
from tests.integration.dockerd import Engine

_REQUESTS, _AT_ONCE = 10_000, 8
_ROUNDS, _RUNS = 4, 3
_TWIN = "label=hardener.twin"
_FILL = """create database copied; use copied; create table small (n int); create table large (b longblob);
    insert into large select repeat(rand(), 50000) from seq_1_to_600"""  # about 500 MB
_INSERT = "insert into copied.small values (1); select sysdate(6);\n"


def overhead(engine: Engine, name: str, folder: Path) -> dict[str, list[float]]:
    """Return the requests per second of a running nginx: alone, under the recorder, under strace.

    They alternate, so that what else the machine does meanwhile falls on all of them.

    Args:
        engine: runs it.
        name: of its container.
        folder: for the recordings.
    """
    pid = int(engine.api("GET", f"/containers/{name}/json")["State"]["Pid"])
    answer = folder / "recorded.json"
    command = f"{sys.executable} -m bench.workloads.overhead {engine.socket} {answer}"
    found: dict[str, list[float]] = {"none": [], "recorder": [], "strace": []}
    for _ in range(_ROUNDS):
        found["none"] += [requests(pid) for _ in range(_RUNS)]
        hardener(engine, "record", name, "--run", command, "--out", str(folder))
        found["recorder"] += json.loads(answer.read_text())
        found["strace"] += _traced(pid, folder)
    return found


def inserts(engine: Engine, name: str, folder: Path) -> dict[str, list[float]]:
    """Return the milliseconds of inserts into a running MariaDB: alone, and while it is recorded.

    Its volume is copied for the twin meanwhile; files change during the copy, so that the twin may not start.

    Args:
        engine: runs it.
        name: of its container.
        folder: for the recording.
    """
    network = engine.api("GET", f"/containers/{name}/json")["NetworkSettings"]["Networks"]
    client = ["mariadb", "--skip-ssl", "-N", "-u", "test", "-h", next(iter(network.values()))["IPAddress"]]
    subprocess.run([*client, "-e", _FILL], check=True)
    found = {"none": _inserted(client, 2000), "recorder": list[float]()}
    with ThreadPoolExecutor(1) as pool:
        words = ("record", name, "--run", "true", "--out", str(folder))
        recording = pool.submit(hardener, engine, *words, allowed=(0, 4))
        while not recording.done():
            found["recorder"] += _inserted(client, 50)
    recording.result()
    return found


def _inserted(client: list[str], count: int) -> list[float]:
    done = subprocess.run(client, input=_INSERT * count, check=True, capture_output=True, text=True)
    times = list(map(datetime.fromisoformat, done.stdout.splitlines()))
    return [(after - before) / timedelta(milliseconds=1) for before, after in pairwise(times)]


def _traced(pid: int, folder: Path) -> list[float]:
    tracing = subprocess.Popen(
        ["strace", "-f", "-c", "-o", str(folder / "strace"), *_threads(pid)], stderr=subprocess.DEVNULL
    )
    try:
        time.sleep(1)
        return [requests(pid)]
    finally:
        tracing.terminate()
        tracing.wait()


def requests(pid: int) -> float:
    """Return the requests per second of the server in a process's network namespace."""
    words = ["nsenter", f"--net=/proc/{pid}/ns/net", "ab", "-q", "-n", str(_REQUESTS), "-c", str(_AT_ONCE)]
    done = subprocess.run([*words, "http://127.0.0.1/"], check=True, capture_output=True, text=True)
    found = re.search(r"Requests per second:\s+([\d.]+)", done.stdout)
    assert found is not None, done.stdout
    return float(found[1])


def _threads(pid: int) -> list[str]:
    """Return the options with which strace attaches to a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [f"--attach={each}" for each in (str(pid), *children)]


def _exercise(docker_socket: str, answer: Path) -> None:
    """Exercise the recorded twin: measure its requests per second, and write them to a file."""
    docker = ["docker", "--host", f"unix://{docker_socket}"]
    listed = subprocess.run(
        [*docker, "ps", "-q", "--filter", _TWIN], check=True, capture_output=True, text=True
    )
    inspected = subprocess.run(
        [*docker, "inspect", "--format={{.State.Pid}}", *listed.stdout.split()],
        check=True,
        capture_output=True,
        text=True,
    )
    pid = int(inspected.stdout.split()[0])
    answer.write_text(json.dumps([requests(pid) for _ in range(_RUNS)]))
    subprocess.run('curl -fsS -o /dev/null "http://$HARDENER_ADDR_80/"', shell=True, check=True)


if __name__ == "__main__":
    _exercise(sys.argv[1], Path(sys.argv[2]))
