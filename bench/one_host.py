"""Time one host's audit, bare reads of the API, and docker-bench-security, on the same engine.

    python -m bench.one_host --containers 0,10,50,200 [--docker-bench CHECKOUT] [--runs 5] [--json FILE]

Starts a private dockerd on the default socket of this machine (there must be none) with N containers in
it, and times whole processes: the bare API reads (the floor), the collector by hand, `hardener audit` of this
host through Ansible, and docker-bench-security where a checkout is given. Prints medians and ratios as
Markdown. Needs root.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import socket
import sys
from pathlib import Path

from bench.timing import Timing, measure
from tests.integration.dockerd import Dockerd
from tests.leftovers import scratch
from tools import collector

SOCKET = Path("/run/docker.sock")
DOCKER_BENCH = "docker-bench-security"

# The least that any audit must read, over one keep-alive connection: what the collector is held against.
API_READS = """
import http.client, json, socket, sys
class Unix(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])
unix = Unix("docker")
def get(path):
    unix.request("GET", path)
    return json.loads(unix.getresponse().read())
for path in ("/version", "/info", "/networks", "/volumes", "/plugins"):
    get(path)
for image in get("/images/json"):
    get("/images/%s/json" % image["Id"])
    get("/images/%s/history" % image["Id"])
for container in get("/containers/json?all=1"):
    get("/containers/%s/json" % container["Id"])
"""


def commands(docker_bench: Path | None, folder: Path) -> dict[str, list[str]]:
    """Return the commands to time, by name."""
    python = sys.executable
    archive = folder / "host_snapshot.pyz"
    collector.make(archive)
    hardener = str(Path(python).with_name("hardener"))
    found = {
        "bare API reads": [python, "-I", "-S", "-c", API_READS, str(SOCKET)],
        "collector": [python, "-S", str(archive)],
        "hardener audit": [
            hardener,
            "audit",
            "-i",
            "localhost,",
            "--exit-zero",
            "--junit",
            str(folder / "junit.xml"),
        ],
    }
    if docker_bench:
        script = f"cd {docker_bench} && exec ./docker-bench-security.sh -b -l {folder}/docker-bench.log"
        found[DOCKER_BENCH] = [shutil.which("sh") or "sh", "-c", script]
    return found


def engine_there() -> bool:
    """Return whether an engine listens on the benchmark's socket; remove the socket of a killed benchmark."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(SOCKET))
        except FileNotFoundError:
            return False
        except ConnectionRefusedError:
            SOCKET.unlink()
            return False
    return True


def run(options: argparse.Namespace) -> dict[str, dict[str, Timing]]:
    """Start an engine, run each of the numbers of containers in it, and time all commands each time."""
    results: dict[str, dict[str, Timing]] = {}
    with (
        scratch("bench") as folder,
        Dockerd(flags=[f"--host=unix://{SOCKET}"]) as engine,
    ):
        engine.ensure_image()
        running = 0
        for wanted in sorted(options.containers):
            for number in range(running, wanted):
                engine.run(f"bench-{number}", host_config={"NetworkMode": "none"})
            running = wanted
            results[str(wanted)] = timed(commands(options.docker_bench, folder), options.runs)
            print(markdown({str(wanted): results[str(wanted)]}), file=sys.stderr, flush=True)
    return results


def timed(commands: dict[str, list[str]], runs: int) -> dict[str, Timing]:
    """Time every command several times; docker-bench, which takes minutes, only once.

    A shared machine gets faster or slower meanwhile, so the others are timed both before and after it.
    """
    quick = {name: command for name, command in commands.items() if name != DOCKER_BENCH}
    times = {name: measure(command, runs=runs) for name, command in quick.items()}
    if DOCKER_BENCH in commands:
        bench = measure(commands[DOCKER_BENCH], runs=1, warm_up=0)
        times = {name: times[name] + measure(command, runs=runs) for name, command in quick.items()}
        times[DOCKER_BENCH] = bench
    return times


def markdown(results: dict[str, dict[str, Timing]]) -> str:
    """Return a Markdown table of the medians, with the ratios to the bare reads and to docker-bench."""
    names = list(next(iter(results.values())))
    lines = [
        "| containers | "
        + " | ".join(names)
        + " | collector / reads | docker-bench / audit | collector memory |",
        "| --- |" + " --- |" * (len(names) + 3),
    ]
    for containers, timings in results.items():
        bench = timings.get(DOCKER_BENCH)
        audit = timings["hardener audit"].median
        cells = [f"{timings[name].median:.3g} s" for name in names]
        cells.append(f"{timings['collector'].median / timings['bare API reads'].median:.2f}")
        cells.append(f"{bench.median / audit:.0f}" if bench else "not run")
        cells.append(f"{timings['collector'].peak_mib:.0f} MiB")
        lines.append(f"| {containers} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--containers", type=lambda text: [int(part) for part in text.split(",")], default=[0, 10, 50, 200]
    )
    parser.add_argument(
        "--docker-bench", type=Path, help="a checkout of docker-bench-security to time as well"
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write every single time there")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("starting a dockerd needs root")
    if engine_there():
        parser.error(f"{SOCKET} exists: this machine has an engine of its own, which would be measured too")
    # 200 containers and a dockerd need more than the usual number of open files.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    results = run(options)
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, median of {options.runs} runs\n")
    print(markdown(results))
    if options.json:
        seconds = {n: {k: t.seconds for k, t in timings.items()} for n, timings in results.items()}
        options.json.write_text(json.dumps(seconds, indent=1))


if __name__ == "__main__":
    main()
