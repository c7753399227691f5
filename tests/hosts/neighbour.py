"""A host with a published web server and a stray service, and a neighbour that tries to reach both."""

from __future__ import annotations

from hardener import lab

WEB_IMAGE = r"""
set -eu
mkdir -p /root/image/bin /root/image/www
cp /bin/busybox /root/image/bin/
ln -sf busybox /root/image/bin/httpd
echo hello > /root/image/www/index.html
tar --create --directory=/root/image . | docker import - busybox:web >/dev/null
"""
# A web server in a container, published, and a service of the host's without a decision on it.
SERVICES = rf"""
{WEB_IMAGE}
docker run --detach --name web --restart always --publish 8080:80 busybox:web \
  httpd -f -p 80 -h /www >/dev/null
"""
# Another host on a cable of its own: the lab's network leads to ssh alone.
NEIGHBOUR = r"""
set -eu
mkdir -p /root/www && echo stray > /root/www/index.html
systemd-run --quiet --unit=stray busybox httpd -f -p 9999 -h /root/www 2>/dev/null ||
  systemctl is-active --quiet stray
ip netns add neighbour
ip link add name lan0 type veth peer name eth0 netns neighbour
ip address add 10.77.0.1/24 dev lan0
ip address add fd77::1/64 dev lan0 nodad
ip link set lan0 up
ip netns exec neighbour ip address add 10.77.0.2/24 dev eth0
ip netns exec neighbour ip address add fd77::2/64 dev eth0 nodad
ip netns exec neighbour ip link set eth0 up
ip netns exec neighbour ip route add 172.17.0.0/16 via 10.77.0.1
"""
_LOOK = r"""
get() { timeout 5 ip netns exec neighbour busybox "$@" 2>/dev/null </dev/null; }
for url in 10.77.0.1:8080 10.77.0.1:8081 10.77.0.1:9999 172.17.0.2:80 \
  "[fd77::1]:8080" "[fd77::1]:8081" "[fd77::1]:9999"; do
  echo "$url $(get wget -q -O - "http://$url/")" &
done
echo "ssh $(get nc 10.77.0.1 22 | head -c 4)"
wait
"""
BEFORE = {
    "10.77.0.1:8080": "hello",
    "[fd77::1]:8080": "hello",
    "10.77.0.1:9999": "stray",
    "[fd77::1]:9999": "stray",
    "ssh": "SSH-",
}
AFTER = {
    **BEFORE,
    **dict.fromkeys(
        ("10.77.0.1:8081", "[fd77::1]:8081", "10.77.0.1:9999", "[fd77::1]:9999", "172.17.0.2:80"), ""
    ),
}


def reached(guest: lab.Guest) -> dict[str, str]:
    """What the neighbour gets, by where it asks."""
    lines = [line.partition(" ") for line in guest.ssh("sh", "-c", _LOOK).stdout.splitlines()]
    return {where: word for where, _, word in lines}
