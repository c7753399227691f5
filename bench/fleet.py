"""Time the audit of a fleet: H ssh hosts on loopback, against bare ssh with the same script.

    python -m bench.fleet --hosts 10,50,100 [--runs 3]

One private sshd and one private dockerd (on the default socket: there must be none) play every host; each has
a connection of its own. The floor is the collector sent by bare ssh, 25 at once. Prints medians as Markdown.
Needs root.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
from pathlib import Path

import yaml

from bench.one_host import SOCKET, engine_there
from bench.timing import Timing, measure
from tests.integration.dockerd import Dockerd
from tests.integration.sshd import Sshd
from tests.leftovers import scratch
from tools import collector


def inventory(server: Sshd, hosts: int, folder: Path) -> Path:
    """An inventory in which one server is many hosts, none sharing a connection with another."""
    entries = {
        f"host{number:04}": server.variables(ansible_control_path=f"{folder}/{number}")
        for number in range(hosts)
    }
    path = folder / f"{hosts}.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": entries}}))
    return path


def floor(server: Sshd, hosts: int, script: Path) -> list[str]:
    """Bare ssh: the same collector on the same hosts, without Ansible and without judging anything."""
    ssh = (
        f"ssh -F none -p {server.port} -i {server.user_key} -o UserKnownHostsFile={server.known_hosts}"
        f" -o BatchMode=yes root@127.0.0.1 'cat > /dev/null; python3 {script}' < {script} > /dev/null"
    )
    return [shutil.which("sh") or "sh", "-c", f'seq {hosts} | xargs -P 25 -I{{}} sh -c "$0"', ssh]


def run(hosts: int, *, runs: int) -> dict[str, Timing]:
    """Time one size of fleet."""
    with scratch("fleet") as folder, Sshd() as server:
        script = folder / "host_snapshot.pyz"
        collector.make(script)
        audit = [
            str(Path(sys.executable).with_name("hardener")),
            *("audit", "-i", str(inventory(server, hosts, folder)), "--exit-zero"),
            *("--junit", str(folder / "junit.xml")),
        ]
        return {
            "bare ssh": measure(floor(server, hosts, script), runs=runs),
            "hardener audit": measure(audit, runs=runs),
        }


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--hosts", type=lambda text: [int(part) for part in text.split(",")], default=[10, 50, 100]
    )
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("starting a dockerd and an sshd needs root")
    if engine_there():
        parser.error(f"{SOCKET} exists: this machine has an engine of its own, which would be measured too")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, median of {options.runs} runs\n")
    print("| hosts | bare ssh | hardener audit | ratio | a host |")
    print("| --- | --- | --- | --- | --- |")
    with Dockerd(flags=[f"--host=unix://{SOCKET}"]):
        for hosts in options.hosts:
            timings = run(hosts, runs=options.runs)
            bare, audit = timings["bare ssh"].median, timings["hardener audit"].median
            each = 1000 * audit / hosts
            print(
                f"| {hosts} | {bare:.1f} s | {audit:.1f} s | {audit / bare:.2f} | {each:.0f} ms |", flush=True
            )


if __name__ == "__main__":
    main()
