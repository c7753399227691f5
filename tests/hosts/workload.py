"""Containers of a host under test, and looks at what must not change while its engine does."""

from __future__ import annotations

from hardener import lab

DAEMON_JSON = "/etc/docker/daemon.json"

# An image from the host's own busybox. `stay` ends at SIGTERM: the shutdown of a host waits 90 seconds for a
# first process that ignores it, as `sleep` does.
IMAGE = r"""
set -eu
mkdir -p /root/image/bin /root/image/etc
cp /bin/busybox /root/image/bin/
for tool in sh sleep cat httpd wget; do ln -sf busybox /root/image/bin/$tool; done
printf '#!/bin/sh\ntrap "exit 0" TERM\n"$@" &\nwait\n' >/root/image/bin/with
printf '#!/bin/sh\nexec with sleep 1000000\n' >/root/image/bin/stay
chmod 0755 /root/image/bin/with /root/image/bin/stay
tar --create --directory=/root/image . | docker import - busybox:test >/dev/null
"""
CONTAINER = rf"""
{IMAGE}
for name in web job; do docker run --detach --name $name busybox:test stay >/dev/null; done
"""
SURVIVING = f"""
mkdir -p /etc/docker
echo '{{"live-restore": true}}' >{DAEMON_JSON}
systemctl restart docker
"""
# What Debian's package of the engine brings beside it, and the site's own settings.
BARE = """
rm -rf /etc/docker /etc/default/docker /etc/systemd/system/docker.service.d
systemctl daemon-reload
systemctl restart docker
"""
ENGINE = r"""
systemctl is-active docker
cat /etc/docker/daemon.json 2>/dev/null || echo none
docker ps -aq |
  xargs docker inspect --format '{{.Name}} {{.State.Running}} {{.State.StartedAt}} {{.State.Pid}}' | sort
docker info --format '{{.LiveRestoreEnabled}} {{.LoggingDriver}}'
"""
CONTAINERS = r"""docker ps -aq |
  xargs docker inspect --format '{{.Name}} {{.State.Running}} {{.State.StartedAt}} {{.State.Pid}}' | sort"""
# Everything on disk that a protection may touch, what the kernel has loaded, and the engine's process. The
# lock is left out: it says who had it last, be it to see that there is nothing to do.
# Every run leaves its number, by which older runs are refused: that and the time of its folder may change.
WHOLE_HOST = r"""
find /etc /usr/lib/systemd /var/lib/hardener -printf '%p %m %u %g %s %T@ %l\n' 2>/dev/null |
  grep -v -e /etc/mtab -e /etc/resolv.conf -e '^/var/lib/hardener ' -e /var/lib/hardener/lock \
    -e /var/lib/hardener/number.json | sort
find /etc -type f -exec sha256sum {} + | sort
stat -c '%n %a %u %g' /run/docker.sock /run/containerd/containerd.sock
auditctl -l 2>/dev/null
systemctl show docker --property=MainPID
dpkg-query --show | sort
"""


def shell(guest: lab.Guest, script: str) -> str:
    """Standard output of a script, whatever its exit code."""
    return guest.ssh("sh", "-c", script, check=False).stdout


def with_containers(guest: lab.Guest, *, surviving: bool = False) -> lab.Guest:
    """A host with two containers, which outlive their engine where that is asked for."""
    if surviving:
        guest.ssh("sh", "-c", SURVIVING)
    guest.ssh("sh", "-c", CONTAINER)
    return guest


def running(engine: str) -> list[str]:
    """The lines of the containers that run, with when they started and as which process."""
    return [line for line in engine.splitlines() if line.startswith("/") and " true " in line]
