"""The workloads: their images, how they run, and the client that exercises each."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.workloads.ordinary import (
    GET,
    SHELL,
    START,
    WORKER_CRASHES,
    clients,
    hang_up,
    inside,
    signal,
)

FILES = Path(__file__).parent / "files"
CLIENTS = Path(__file__).parent / "clients"
_BASE = "FROM workloads:base\nCOPY attack /attack\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A workload: a container, or a project of Docker Compose.

    Args:
        name: of the workload, its image and its container.
        dockerfile: what its image is made of.
        client: the shell script that exercises it.
        command: that exercises it in place of a script.
        files: that its image is made from, of bench/workloads/files or built from there.
        host_config: how it is run, as the engine takes it.
        services: of the project that are proven; empty for a container by itself.
        operations: commands of ordinary use that the exercise does not contain, by name.
        base: of its image, as images.py names it.
    """

    name: str
    dockerfile: str
    client: str = ""
    command: str = ""
    files: tuple[str, ...] = ()
    host_config: Mapping[str, Any] = field(default_factory=dict)
    services: tuple[str, ...] = ()
    operations: Mapping[str, str] = field(default_factory=dict)
    base: str = "base"

    @property
    def exercise(self) -> str:
        """Return the command for the option ``--run``."""
        return self.command or f"sh {shlex.quote(str(CLIENTS / self.client))}"

    def sources(self, built: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the files of the workload's image, by name."""
        wanted = {*self.files, "attack"}
        return {name: built[name] if name in built else (FILES / name).read_bytes() for name in wanted}


def _volume(name: str, target: str) -> dict[str, Any]:
    return {"Mounts": [{"Type": "volume", "Source": name, "Target": target}]}


_REDIS = {
    **clients(6379, r"PING\r\n"),
    **SHELL,
    **inside("client in the container", "redis-cli ping"),
    **inside("backup", "redis-cli save"),
    **inside("changed setting", "redis-cli config set maxmemory 50mb"),
    **START,
}
NGINX = Workload(
    name="nginx",
    dockerfile=f"""{_BASE}
EXPOSE 80
STOPSIGNAL SIGQUIT
CMD ["nginx", "-g", "daemon off;"]
""",
    client="nginx",
    operations={
        **clients(80, GET),
        **SHELL,
        **inside("configuration test", "nginx -t"),
        **inside("reload by a command", "nginx -s reload && sleep 1"),
        **inside("log rotation by a command", "nginx -s reopen && sleep 1"),
        **signal("reload by a signal", "HUP"),
        **signal("log rotation by a signal", "USR1"),
        **WORKER_CRASHES,
        **START,
    },
)
REDIS = Workload(
    name="redis",
    dockerfile=f"""{_BASE}
EXPOSE 6379
VOLUME /var/lib/redis
CMD ["redis-server", "--protected-mode", "no", "--dir", "/var/lib/redis", "--appendonly", "yes"]
""",
    client="redis",
    host_config=_volume("redis", "/var/lib/redis"),
    operations=_REDIS,
)
POSTGRES = Workload(
    name="postgres",
    dockerfile=f"""{_BASE}
COPY postgres-entrypoint /
ENV PGDATA=/var/lib/postgresql/data PATH=/usr/lib/postgresql/17/bin:/usr/sbin:/usr/bin
RUN mkdir -p /var/lib/postgresql/data && chown postgres /var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
EXPOSE 5432
STOPSIGNAL SIGINT
ENTRYPOINT ["/postgres-entrypoint"]
CMD ["postgres", "-c", "listen_addresses=*"]
""",
    files=("postgres-entrypoint",),
    client="postgres",
    host_config={**_volume("postgres", "/var/lib/postgresql/data"), "ShmSize": 128 << 20},
    operations={
        **SHELL,
        "60 clients": r"""seq 60 | xargs -P 60 -I {} \
            timeout 60 psql -h "${HARDENER_ADDR_5432%:*}" -U postgres -qAt -c 'select pg_sleep(2)' """,
        **hang_up(5432),
        **inside("client in the container", 'psql -U postgres -c "select 1"'),
        **inside("backup", "pg_dump -U postgres postgres >/dev/null"),
        **inside("second database", "createdb -U postgres second"),
        **signal("reload by a signal", "HUP"),
        "a statement is cancelled": """timeout -s INT 2 psql -h "${HARDENER_ADDR_5432%:*}" -U postgres \\
            -c 'select pg_sleep(60)'; [ $? -ne 0 ]""",
        **START,
    },
)
PYTHON = Workload(
    name="python",
    dockerfile=f"""{_BASE}
COPY app /srv/app.py
RUN mkdir /data && chown www-data /data
VOLUME /data
EXPOSE 8000
USER www-data
WORKDIR /srv
CMD ["gunicorn", "--bind", "0.0.0.0:8000", "--workers", "2", "app:app"]
""",
    files=("app",),
    client="python",
    host_config=_volume("python", "/data"),
    operations={
        **clients(8000, GET),
        **SHELL,
        **signal("reload by a signal", "HUP"),
        **signal("log rotation by a signal", "USR1"),
        **signal("a further worker", "TTIN"),
        **WORKER_CRASHES,
        **START,
    },
)
GO = Workload(
    name="go",
    dockerfile="""FROM scratch
COPY attack server /
USER 65534:65534
EXPOSE 8080
ENTRYPOINT ["/server"]
""",
    files=("server",),
    client="go",
    operations={**clients(8080, GET), **START},
)
FILE_CAPABILITY = Workload(
    name="file-capability",
    dockerfile=f"""{_BASE}
COPY server /server
RUN setcap cap_net_bind_service=ep /server
USER nobody
EXPOSE 80
ENTRYPOINT ["/server", ":80"]
""",
    files=("server",),
    client="go",
    host_config={"Sysctls": {"net.ipv4.ip_unprivileged_port_start": "1024"}},
    operations={**clients(80, GET), **SHELL, **START},
)
I386 = Workload(
    name="i386",
    dockerfile="""FROM scratch
COPY attack server32 /
USER 65534:65534
EXPOSE 8080
STOPSIGNAL SIGKILL
ENTRYPOINT ["/server32"]
""",
    files=("server32",),
    client="server32",
    operations={**hang_up(8080), **START},
)
DNSMASQ = Workload(
    name="dnsmasq",
    dockerfile=f"""{_BASE}
RUN id dnsmasq || useradd --system --no-create-home dnsmasq
EXPOSE 53/tcp 53/udp
CMD ["dnsmasq", "-k", "--user=dnsmasq", "--no-resolv", "--address=/example.test/192.0.2.7"]
""",
    client="dnsmasq",
    operations={
        **SHELL,
        **hang_up(53),
        **inside("configuration test", "dnsmasq --test"),
        **signal("reload by a signal", "HUP"),
        **signal("statistics by a signal", "USR1"),
        **START,
    },
)
GOSU = Workload(
    name="gosu",
    dockerfile=f"""{_BASE}
COPY gosu-entrypoint /
RUN mkdir /data
VOLUME /data
WORKDIR /data
EXPOSE 6379
ENTRYPOINT ["/gosu-entrypoint"]
CMD ["redis-server", "--protected-mode", "no", "--dir", "/data"]
""",
    files=("gosu-entrypoint",),
    client="redis",
    host_config=_volume("gosu", "/data"),
    operations=_REDIS,
)
SHOP = Workload(
    name="shop",
    dockerfile=f"""{_BASE}
COPY shop /srv/shop.py
COPY worker /srv/worker.py
COPY shop.conf /etc/nginx/shop.conf
WORKDIR /srv
""",
    files=("shop", "worker", "shop.conf"),
    client="shop",
    services=("app", "queue", "web", "worker"),
)

ALL = (NGINX, REDIS, POSTGRES, PYTHON, GO, FILE_CAPABILITY, I386, DNSMASQ, GOSU, SHOP)
