"""Run the collector on hosts by asyncssh, 25 in parallel: the minimum for a tool without Ansible.

    over_asyncssh.py PORT USER_KEY KNOWN_HOSTS HOSTS SCRIPT

The answers are thrown away. asyncssh is no dependency: install it beside hardener to measure it.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Any

AT_ONCE = 25


async def _collect(port: int, user_key: str, known_hosts: str, hosts: int, script: Path) -> None:
    asyncssh: Any = importlib.import_module("asyncssh")
    places = asyncio.Semaphore(AT_ONCE)

    async def collect() -> None:
        async with (
            places,
            asyncssh.connect(
                "127.0.0.1",
                port,
                username="root",
                client_keys=[user_key],
                known_hosts=known_hosts,
                config=None,
            ) as connection,
        ):
            # As Ansible and bare ssh do it: the program travels with the connection.
            sending = {"input": script.read_bytes(), "encoding": None}
            await connection.run(f"cat > /dev/null; python3 {script}", check=True, **sending)

    async with asyncio.TaskGroup() as group:
        for _ in range(hosts):
            group.create_task(collect())


if __name__ == "__main__":
    port, user_key, known_hosts, hosts, script = sys.argv[1:]
    asyncio.run(_collect(int(port), user_key, known_hosts, int(hosts), Path(script)))
