"""Time the audit of a fleet of ssh hosts on loopback, and other programs that collect the same facts.

    python -m bench.fleet --hosts 10,50,100 [--runs 3] [--peers]
    python -m bench.fleet --listed 30000

One private sshd and one private dockerd (on the default socket: there must be none) play every host; each has
a connection of its own. The floor is the collector sent by bare ssh, 25 at once. Peers are the same by
asyncssh, if it is installed, and the collection's playbook under Ansible's defaults, which judges nothing.
``--listed`` times an audit of 10 hosts of a large inventory, until its first ssh and until its end, against
Ansible's own listing of them. Prints medians as Markdown. Needs root; what a killed benchmark has started
ends with it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench import over_asyncssh
from bench.one_host import SOCKET, engine_there
from bench.timing import Timing, measure
from hardener.content import collections_path
from tests.integration.dockerd import Dockerd
from tests.integration.sshd import Sshd
from tests.leftovers import scratch
from tools import collector


def inventory(server: Sshd, hosts: int, folder: Path) -> Path:
    """Write an inventory in which one server appears as many hosts, each with its own connection."""
    variables = server.variables(ansible_control_path=f"{folder}/%%n")
    del variables["ansible_ssh_args"]  # those of hardener, or of Ansible
    address = variables.pop("ansible_host")
    alias = f"[{address}]:{server.port}"  # in known_hosts
    variables["ansible_ssh_common_args"] += f" -o HostName={address} -o HostKeyAlias={alias}"
    names = [f"host{number:04}" for number in range(hosts)]
    path = folder / f"{hosts}.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": dict.fromkeys(names), "vars": variables}}))
    return path


BIN = Path(sys.executable).parent


def floor(server: Sshd, hosts: int, script: Path) -> list[str]:
    """Return a command that runs the collector on all hosts by ssh alone: no Ansible, no assessment."""
    ssh = (
        f"ssh -F none -p {server.port} -i {server.user_key} -o UserKnownHostsFile={server.known_hosts}"
        f" -o BatchMode=yes root@127.0.0.1 'cat > /dev/null; python3 {script}' < {script} > /dev/null"
    )
    return [shutil.which("sh") or "sh", "-c", f'seq {hosts} | xargs -P 25 -I{{}} sh -c "$0"', ssh]


def peers(server: Sshd, hosts: int, folder: Path, script: Path) -> dict[str, list[str]]:
    """Return the commands of other programs that collect from the same hosts."""
    (folder / "ansible.cfg").touch()
    defaults = (
        f"ANSIBLE_CONFIG={folder / 'ansible.cfg'}",
        f"ANSIBLE_COLLECTIONS_PATH={collections_path()}",
    )
    playbook = (str(BIN / "ansible-playbook"), "-i", str(folder / f"{hosts}.yml"), "hardener.docker.audit")
    found = {"Ansible's defaults": ["/usr/bin/env", *defaults, *playbook]}
    if importlib.util.find_spec("asyncssh"):
        arguments = map(str, (server.port, server.user_key, server.known_hosts, hosts, script))
        found["asyncssh"] = [sys.executable, str(over_asyncssh.__file__), *arguments]
    return found


def run(hosts: int, *, runs: int, with_peers: bool) -> dict[str, Timing]:
    """Time a fleet of one size."""
    with scratch("fleet") as folder, Sshd() as server:
        script = folder / "host_snapshot.pyz"
        collector.make(script)
        reports = ("--exit-zero", "--junit", str(folder / "junit.xml"))
        hosts_file = str(inventory(server, hosts, folder))
        snapshots = str(folder / "snapshots")
        commands = {
            "bare ssh": floor(server, hosts, script),
            "hardener audit": [
                *(str(BIN / "hardener"), "audit", "-i", hosts_file, "--snapshots", snapshots, *reports)
            ],
            # The same without collecting: what judging and reporting take of it.
            "hardener assess": [str(BIN / "hardener"), "assess", snapshots, *reports],
        }
        if with_peers:
            commands |= peers(server, hosts, folder, script)
        return {name: measure(command, runs=runs) for name, command in commands.items()}


@dataclass(frozen=True, slots=True)
class Started:
    """Median seconds to list an inventory, and from the start of an audit to its first ssh and to its end."""

    listing: float
    first_host: float
    audit: float


# Notes when it is called first.
_NOTING_SSH = """#!/bin/sh
[ -e {first} ] || : > {first}
exec ssh "$@"
"""


def listed(hosts: int, *, runs: int) -> Iterator[tuple[str, Started]]:
    """Time an audit of 10 hosts of a large inventory (YAML, INI, script), and Ansible's ``--list-hosts``."""
    with scratch("fleet") as folder, Sshd() as server:
        first = folder / "first"
        (folder / "ssh").write_text(_NOTING_SSH.format(first=first))
        variables = server.variables(ansible_ssh_executable=str(folder / "ssh"))
        names = [f"host{number:05}" for number in range(hosts)]
        (folder / "hosts.yml").write_text(
            yaml.safe_dump({"all": {"hosts": dict.fromkeys(names), "vars": variables}})
        )
        settings = "".join(f"{key}={json.dumps(value)}\n" for key, value in variables.items())
        (folder / "hosts.ini").write_text("\n".join(names) + f"\n[all:vars]\n{settings}")
        answer = {"all": {"hosts": names, "vars": variables}, "_meta": {"hostvars": {}}}
        (folder / "answer.json").write_text(json.dumps(answer))
        (folder / "script").write_text(f"#!/bin/sh\nexec cat {folder}/answer.json\n")
        for program in ("ssh", "script"):
            (folder / program).chmod(0o755)
        few = ("--limit", ",".join(names[:: hosts // 10][:10]))
        for kind in ("hosts.yml", "hosts.ini", "script"):
            source = ("-i", str(folder / kind))
            listing, audits, starts = [], [], []
            for _ in range(runs):  # alternately: a shared machine gets faster or slower
                command = [str(BIN / "ansible"), "all", *source, *few, "--list-hosts"]
                listing.append(measure(command, runs=1, warm_up=0).median)
                first.unlink(missing_ok=True)
                begun = time.time()
                command = [str(BIN / "hardener"), "audit", *source, *few, "--exit-zero"]
                audits.append(measure(command, runs=1, warm_up=0).median)
                starts.append(first.stat().st_mtime - begun)
            yield kind, Started(*map(statistics.median, (listing, starts, audits)))


def main() -> None:
    """Parse the command line, measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--hosts", type=lambda text: [int(part) for part in text.split(",")], default=[10, 50, 100]
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peers", action="store_true", help="time asyncssh and Ansible's defaults too")
    parser.add_argument("--listed", type=int, metavar="HOSTS", help="time a large inventory instead")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("starting a dockerd and an sshd needs root")
    if engine_there():
        parser.error(f"{SOCKET} exists: this machine has an engine of its own, which would be measured too")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, median of {options.runs} runs\n")
    with Dockerd(flags=[f"--host=unix://{SOCKET}"]):
        if options.listed:
            print(
                "| inventory | ansible --list-hosts | first ssh of an audit | to the listing | whole audit |"
            )
            print("| --- | --- | --- | --- | --- |")
            for kind, each in listed(options.listed, runs=options.runs):
                print(
                    f"| {kind} | {each.listing:.1f} s | {each.first_host:.1f} s"
                    f" | {each.first_host / each.listing:.2f} | {each.audit:.1f} s |",
                    flush=True,
                )
            return
        print("| hosts | command | seconds | to bare ssh | processor, ms a host | memory |")
        print("| --- | --- | --- | --- | --- | --- |")
        for hosts in options.hosts:
            timings = run(hosts, runs=options.runs, with_peers=options.peers)
            bare = timings["bare ssh"].median
            for name, timing in timings.items():
                print(
                    f"| {hosts} | {name} | {timing.median:.1f} | {timing.median / bare:.2f}"
                    f" | {1000 * timing.cpu / hosts:.0f} | {timing.peak_mib:.0f} MiB |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
