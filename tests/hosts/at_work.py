"""A host with containers at work, and whether all of them still do their work."""

from __future__ import annotations

from hardener import lab
from tests.hosts.workload import IMAGE, shell

JOB = "docker run -d --name job --restart on-failure:5 {} busybox:test stay"
# A port that is published, a volume with data, a network of their own, every restart policy, one privileged.
WORKLOADS = rf"""
{IMAGE}
docker network create app >/dev/null
docker run -d --name web --restart always --network app --publish 8080:80 busybox:test \
  with httpd -f -p 80 -h /etc
docker run -d --name db --restart unless-stopped --network app --volume data:/data busybox:test \
  sh -c 'echo kept > /data/file; exec stay'
{JOB.format("")}
docker run -d --name once busybox:test stay
docker run -d --name agent --restart always --privileged busybox:test stay
"""
CONTAINERS = "docker ps --format '{{.Names}}' | sort | tr '\\n' ' '"
ALL_FIVE = "agent db job once web "


def assert_all_at_work(guest: lab.Guest) -> None:
    """All five run, the data is there, and the published port and the users' network answer."""
    assert shell(guest, CONTAINERS) == ALL_FIVE
    assert shell(guest, "docker exec db cat /data/file") == "kept\n"
    assert "localhost" in shell(guest, "busybox wget -q -O - http://10.0.2.15:8080/hosts")
    assert "localhost" in shell(guest, "docker exec db wget -q -O - http://web/hosts")
