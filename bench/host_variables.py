"""Time Ansible's computation of a host's variables, which takes longer the more hosts the play has.

    python -m bench.host_variables --hosts 100,1000,10000

Among the variables of a host are lists of all hosts of the play without those that have failed. Prints the
processor time a host as Markdown, without and with failed hosts.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play import Play
from ansible.plugins.loader import init_plugin_loader
from ansible.vars.manager import VariableManager

from tests.leftovers import scratch

_ASKED = 30  # hosts whose variables are made
_FAILED = 50  # one host in so many


def milliseconds(inventory: Path) -> tuple[float, float]:
    """Return the milliseconds of CPU time per host: with no failed host, with one failed host in fifty."""
    loader = DataLoader()
    hosts = InventoryManager(loader=loader, sources=[str(inventory)])
    variables = VariableManager(loader=loader, inventory=hosts)
    play: Any = Play().load({"hosts": "all", "tasks": []}, variable_manager=variables, loader=loader)
    every = hosts.get_hosts("all")
    names = [host.name for host in every]  # Ansible's strategies list them once

    def taken(failed: list[str]) -> float:
        play._removed_hosts = failed
        begun = time.process_time()
        for host in every[:_ASKED]:
            variables.get_vars(play=play, host=host, _hosts=names, _hosts_all=names)
        return 1000 * (time.process_time() - begun) / min(_ASKED, len(every))

    taken([])  # the first call also loads plugins
    return taken([]), taken(names[len(names) - len(names) // _FAILED :])


def main() -> None:
    """Parse the command line, measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument(
        "--hosts", type=lambda text: [int(part) for part in text.split(",")], default=[100, 1000, 5000, 10000]
    )
    init_plugin_loader([])
    print("| hosts of the play | none has failed, ms a host | 2 % have failed, ms a host |")
    print("| ---: | ---: | ---: |")
    with scratch("variables") as folder:
        for count in parser.parse_args().hosts:
            inventory = folder / f"{count}.ini"
            inventory.write_text("".join(f"host{number:05}\n" for number in range(count)))
            none, some = milliseconds(inventory)
            print(f"| {count:,} | {none:.1f} | {some:.1f} |", flush=True)


if __name__ == "__main__":
    main()
