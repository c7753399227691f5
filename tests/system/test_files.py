"""Owners, modes and the docker group on a real host, every path loosened first, and after a reboot."""

from __future__ import annotations

from pathlib import Path

from hardener import lab
from tests.hosts import command
from tests.hosts.fixtures import Boot
from tests.hosts.play import ansible_playbook
from tests.hosts.reboot import reboot

# An engine with TLS, registries, its data elsewhere and remapped, and environment files of both families.
ENGINE = r"""
set -eu
useradd --groups docker eve
mkdir -p /etc/docker/certs.d/registry.example /etc/docker/tls /etc/sysconfig /srv/docker \
    /etc/systemd/system/docker.service.d /etc/systemd/system/docker.socket.d
echo 'SITE=1' > /etc/sysconfig/docker
echo 'SITE=2' > /etc/docker-site.env
cd /etc/docker/tls
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=lab-ca -keyout ca.key -out ca.pem
openssl req -newkey rsa:2048 -nodes -subj /CN=lab -keyout key.pem -out request.pem
openssl x509 -req -days 2 -in request.pem -CA ca.pem -CAkey ca.key -out cert.pem
cp ca.pem /etc/docker/certs.d/registry.example/ca.crt
cp cert.pem /etc/docker/certs.d/registry.example/client.cert
cp key.pem /etc/docker/certs.d/registry.example/client.key
ln -s /nowhere /etc/docker/certs.d/registry.example/gone.crt
printf '{"data-root": "/srv/docker", "userns-remap": "default"}' > /etc/docker/daemon.json
cat > /etc/systemd/system/docker.service.d/tls.conf <<END
[Service]
EnvironmentFile=/etc/docker-site.env
ExecStart=
ExecStart=/usr/sbin/dockerd -H fd:// -H tcp://127.0.0.1:2376 --tlsverify --tlscacert=/etc/docker//tls/ca.pem \
    --tlscert=/etc/docker/tls/cert.pem --tlskey=/etc/docker/tls/key.pem
END
printf '[Socket]\nSocketMode=0666\n' > /etc/systemd/system/docker.socket.d/99-open.conf
systemctl daemon-reload
systemctl stop docker.service docker.socket
systemctl start docker.socket docker.service
docker info --format '{{.DockerRootDir}}'
"""
# Everything to everybody: another owner, a wide mode, or a name in an access control list.
LOOSEN = r"""
import os, pwd, struct
eve = pwd.getpwnam("eve").pw_uid
paths = [
    "/usr/lib/systemd/system/docker.service", "/etc/systemd/system/docker.service.d/tls.conf",
    "/usr/lib/systemd/system/docker.socket", "/etc/systemd/system/docker.socket.d/99-open.conf",
    "/etc/docker", "/etc/docker/daemon.json", "/etc/default/docker", "/etc/sysconfig/docker",
    "/etc/docker-site.env", "/etc/containerd/config.toml", "/run/docker.sock",
    "/run/containerd/containerd.sock",
]
for folder in ("/etc/docker/certs.d", "/etc/docker/tls"):
    for place, folders, files in os.walk(folder):
        paths += [place] + [place + "/" + name for name in files if not os.path.islink(place + "/" + name)]
entries = ((1, 6, -1), (2, 7, eve), (4, 6, -1), (16, 7, -1), (32, 6, -1))
acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
for path in paths:
    os.chown(path, eve, eve)
    os.chmod(path, 0o777)
    os.setxattr(path, "system.posix_acl_access", acl)
"""


def findings(guest: lab.Guest, folder: Path) -> dict[str, dict[str, str]]:
    """What the audit says of files and of the docker group; what is audited needs a kernel of its own."""
    report = folder / "report.json"
    command.hardener("audit", guest.inventory, "--json", report, "--exit-zero")
    found = command.findings(report)
    return {
        slug: finding
        for slug, finding in found.items()
        if finding["id"].startswith("3.") or slug == "docker-group-trusted-users"
    }


def left(found: dict[str, dict[str, str]]) -> dict[str, str]:
    """What still has to be done."""
    return {
        slug: f"{finding['status']}: {finding['actual']}"
        for slug, finding in found.items()
        if finding["status"] not in ("pass", "not_applicable")
    }


def converge(guest: lab.Guest, folder: Path) -> str:
    """Run the roles by plain ansible-playbook."""
    roles = [
        {"role": "hardener.docker.docker_files"},
        {"role": "hardener.docker.docker_group", "docker_group_members": []},
    ]
    done = ansible_playbook(guest, folder, {"roles": roles})
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_loose_permissions_are_tightened_and_stay_tight_after_a_reboot(boot: Boot, tmp_path: Path) -> None:
    guest = boot("13")
    assert "/srv/docker/" in guest.ssh("sh", "-c", ENGINE).stdout
    guest.ssh("python3", "-", stdin=LOOSEN)

    before = findings(guest, tmp_path)
    files = {slug: finding["status"] for slug, finding in before.items() if slug.startswith("file-")}
    assert files == dict.fromkeys(files, "fail")
    assert len(files) == 24
    assert before["docker-group-trusted-users"]["status"] == "fail"

    converge(guest, tmp_path)
    assert left(findings(guest, tmp_path)) == {}
    assert guest.ssh("docker", "info", "--format", "{{.DockerRootDir}}").stdout.startswith("/srv/docker/")
    assert "changed=0" in converge(guest, tmp_path)

    reboot(guest)
    assert left(findings(guest, tmp_path)) == {}
