"""Operations of ordinary use that the exercise of a workload does not contain.

Each is tried in the container under the engine's defaults, and in a copy of it under its profile. It works if
its command, and then the workload's exercise, end with 0.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from bench.workloads.catalogue import CLIENTS, Workload
from tests.integration.dockerd import Engine

_SECONDS = 120
_SHELL = {"shell": 'docker exec "$NAME" sh -c "ls / >/dev/null"'}
_CRASH = 'kill -9 $(pgrep -P "$(docker inspect --format {{.State.Pid}} "$NAME")") && sleep 2'
_START = {
    "stop and start": 'docker stop "$NAME" && docker start "$NAME" && sleep 2',
    "crash and start": 'docker kill "$NAME" && docker start "$NAME" && sleep 2',
}


def _clients(port: int, said: str, most: int = 200) -> dict[str, str]:
    many = f'"$CLIENTS/many" "$HARDENER_ADDR_{port}"'
    return {
        f"{most} clients": f"{many} together '{said}' {most}",
        "a slow client": f"{many} slowly '{said}'",
        "clients that hang up": f"{many} away '{said}' 20",
    }


_GET = r"GET / HTTP/1.0\r\n\r\n"
_REDIS = {
    **_clients(6379, r"PING\r\n"),
    **_SHELL,
    "client in the container": 'docker exec "$NAME" redis-cli ping',
    "backup": 'docker exec "$NAME" redis-cli save',
    "changed setting": 'docker exec "$NAME" redis-cli config set maxmemory 50mb',
    **_START,
}
OPERATIONS: Mapping[str, Mapping[str, str]] = {
    "nginx": {
        **_clients(80, _GET),
        **_SHELL,
        "configuration test": 'docker exec "$NAME" nginx -t',
        "reload by a command": 'docker exec "$NAME" nginx -s reload && sleep 1',
        "log rotation by a command": 'docker exec "$NAME" nginx -s reopen && sleep 1',
        "reload by a signal": 'docker kill --signal HUP "$NAME" && sleep 1',
        "log rotation by a signal": 'docker kill --signal USR1 "$NAME" && sleep 1',
        "a worker crashes": _CRASH,
        **_START,
    },
    "redis": _REDIS,
    "gosu": _REDIS,
    "postgres": {
        **_SHELL,
        "60 clients": r"""seq 60 | xargs -P 60 -I {} \
            timeout 60 psql -h "${HARDENER_ADDR_5432%:*}" -U postgres -qAt -c 'select pg_sleep(2)' """,
        "clients that hang up": '"$CLIENTS/many" "$HARDENER_ADDR_5432" away x 20',
        "client in the container": 'docker exec "$NAME" psql -U postgres -c "select 1"',
        "backup": 'docker exec "$NAME" pg_dump -U postgres postgres >/dev/null',
        "second database": 'docker exec "$NAME" createdb -U postgres second',
        "reload by a signal": 'docker kill --signal HUP "$NAME" && sleep 1',
        "a statement is cancelled": """timeout -s INT 2 psql -h "${HARDENER_ADDR_5432%:*}" -U postgres \\
            -c 'select pg_sleep(60)'; [ $? -ne 0 ]""",
        **_START,
    },
    "python": {
        **_clients(8000, _GET),
        **_SHELL,
        "reload by a signal": 'docker kill --signal HUP "$NAME" && sleep 2',
        "log rotation by a signal": 'docker kill --signal USR1 "$NAME" && sleep 1',
        "a further worker": 'docker kill --signal TTIN "$NAME" && sleep 2',
        "a worker crashes": _CRASH,
        **_START,
    },
    "go": {**_clients(8080, _GET), **_START},
    "file-capability": {**_clients(80, _GET), **_SHELL, **_START},
    "i386": {"clients that hang up": '"$CLIENTS/many" "$HARDENER_ADDR_8080" away x 20', **_START},
    "dnsmasq": {
        **_SHELL,
        "clients that hang up": '"$CLIENTS/many" "$HARDENER_ADDR_53" away x 20',
        "configuration test": 'docker exec "$NAME" dnsmasq --test',
        "reload by a signal": 'docker kill --signal HUP "$NAME" && sleep 1',
        "statistics by a signal": 'docker kill --signal USR1 "$NAME" && sleep 1',
        **_START,
    },
}


def worked(engine: Engine, workload: Workload, name: str) -> frozenset[str]:
    """Return the operations of a workload that work in a container, by name."""
    return frozenset(
        operation
        for operation, command in OPERATIONS.get(workload.name, {}).items()
        if _succeeds(engine, name, command) and _succeeds(engine, name, workload.exercise)
    )


def _succeeds(engine: Engine, name: str, command: str) -> bool:
    """Return whether a command on this machine ends with 0; its environment has the container's addresses."""
    found = engine.api("GET", f"/containers/{name}/json")
    address = next(each["IPAddress"] for each in found["NetworkSettings"]["Networks"].values())
    environment = {**os.environ, "DOCKER_HOST": engine.host, "NAME": name, "CLIENTS": str(CLIENTS)}
    for port in found["Config"]["ExposedPorts"] or ():
        number, _, protocol = port.partition("/")
        environment[f"HARDENER_ADDR_{number}{'_udp' if protocol == 'udp' else ''}"] = f"{address}:{number}"
    try:
        done = subprocess.run(
            ["sh", "-c", command], env=environment, capture_output=True, check=False, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
