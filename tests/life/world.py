"""Two hosts in namespaces, their inventory, and what a person has done to both."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from hardener import lab
from tests.hosts import namespace_host
from tests.hosts.fleet import Fleet
from tests.hosts.guard import JOURNAL, background, once, settled
from tests.hosts.neighbour import NEIGHBOUR, WEB_IMAGE
from tests.hosts.newer_engine import UPGRADE
from tests.hosts.production import ULIMITS
from tests.hosts.reboot import reboot
from tests.hosts.workload import BARE, DAEMON_JSON

PORTS = {"shop": 8080, "api": 8081, "cache": 8082}
# Files, sockets, units and rules that a role can change, by a name that the output of a command can contain.
_STATE = r"""
import hashlib, json, os, stat, subprocess
found = {}
def add(path):
    seen = os.lstat(path)
    text = [oct(seen.st_mode), seen.st_uid, seen.st_gid]
    if stat.S_ISLNK(seen.st_mode):
        text.append(os.readlink(path))
    elif stat.S_ISREG(seen.st_mode):
        text.append(hashlib.sha256(open(path, "rb").read()).hexdigest())
    found[path] = " ".join(map(str, text))
for top in ("/etc", "/usr/local"):
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            if not name.endswith("-") and name not in ("mtab", ".pwd.lock", "resolv.conf", "ld.so.cache"):
                add(os.path.join(folder, name))
for path in ("/run/docker.sock", "/run/containerd/containerd.sock", "/var/lib/docker"):
    if os.path.exists(path):
        add(path)
def lines(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
for program in ("iptables-save", "ip6tables-save"):
    for line in lines(program):
        if "HARDENER" in line and line.startswith("-A"):
            found[program + " " + line] = ""
units = ("hardener*", "apt-daily*", "docker.s*")
for line in lines("systemctl", "list-unit-files", "--plain", "--no-legend", *units):
    found["unit " + " ".join(line.split()[:2])] = ""
print(json.dumps(found))
"""
# The containers that run, the ports at which a neighbour reaches them, and whom they reach on their bridge.
_LOOK = r"""
get() {{ $1 busybox timeout 3 busybox wget -q -O - "http://$2/" >/dev/null 2>&1 && echo "$3"; }}
for each in {ports}; do
  get "ip netns exec neighbour" "10.77.0.1:${{each#*:}}" "$each" &
  get "ip netns exec neighbour" "[fd77::1]:${{each#*:}}" "[$each]" &
done
form='{{{{.Name}}}} {{{{.State.Pid}}}} {{{{range .NetworkSettings.Networks}}}}{{{{.IPAddress}}}}{{{{end}}}}'
running=$(docker ps --quiet | xargs --no-run-if-empty docker inspect --format "$form" | cut --characters=2-)
echo "$running" | while read -r name pid _; do
  echo "$name"
  echo "$running" | while read -r other _ address; do
    [ "$name" = "$other" ] || get "nsenter --net --target $pid" "$address:80" "$name>$other" &
  done
  wait
done
wait
"""

_RUN = (
    "docker rm --force {name} 2>/dev/null; docker run --detach --name {name} --restart {policy}"
    " --publish {port}:80 busybox:web httpd -f -p 80 -h /www"
)
_WAIVER = {
    "id": "W-1",
    "hosts": ["*"],
    "reason": "as the site decided",
    "owner": "site",
    "approved_by": "site",
    "ticket": "S-1",
}
# Files of unattended-upgrades and of the packages that it needs.
_PACKAGE = ("unattended-upgrades", "20auto-upgrades", "/etc/alternatives/", "/etc/pm")
NAMES = ("one", "two")
DONE = (0, 3, 4, 9)  # exit codes of a run whose output explains what was not done

_SEPARATED = r"no longer reach each other: ([\w, ]+)"

State = dict[str, str]


def _containers(work: str) -> list[str]:
    """The containers that take part in something that works, as ``Site.works`` lists it."""
    return [each.partition(":")[0] for each in work.strip("[]").split(">")]


def _differing(one: State, other: State) -> set[str]:
    return {path for path in one.keys() | other.keys() if one.get(path) != other.get(path)}


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a role.

    Attributes:
        values: values for it, by a word of theirs.
        probe: the shell command that finds the value with a word in force.
        control: the control of the same document; if that is held, the output has its name.
    """

    name: str
    values: Mapping[str, Any]
    probe: str
    control: str = ""

    def in_force(self, host: lab.Guest, value: str) -> bool:
        return host.ssh("sh", "-c", self.probe.format(value), check=False).returncode == 0


VARIABLES = [
    Variable(
        "docker_daemon_log_opts",
        {size: {"max-size": size, "max-file": "3"} for size in ("33m", "44m")},
        f'grep -q \'"max-size": "{{}}"\' {DAEMON_JSON}',
    ),
    Variable(
        "firewall_allow",
        {str(port): [{"port": port}] for port in (9100, 9200)},
        # Without the filter of inbound packets the port is open anyway.
        "! iptables --list-rules INPUT | grep -q HARDENER-INPUT"
        " || iptables --list-rules HARDENER-INPUT | grep -q -e '--dport {} '",
    ),
    Variable(
        "firewall_published",
        {str(port): [{"port": port, "sources": ["10.77.0.0/24"]}] for port in (8081, 8082)},
        "iptables --list-rules HARDENER-DOCKER | grep -q -e '10.77.0.0/24.*--ctorigdstport {} '",
        "host-firewall-docker-user",
    ),
    Variable(
        "docker_daemon_userland_proxy", {"true": True}, f"! grep -q '\"userland-proxy\": false' {DAEMON_JSON}"
    ),
    Variable("docker_daemon_icc", {"true": True}, f"! grep -q '\"icc\": false' {DAEMON_JSON}"),
    Variable(
        "docker_daemon_log_driver",
        {driver: driver for driver in ("local", "json-file")},
        f'grep -q \'"log-driver": "{{}}"\' {DAEMON_JSON}',
    ),
    Variable(
        "docker_daemon_insecure_registries",
        {registry: [registry] for registry in ("10.9.9.9:5000", "10.9.0.0/16")},
        f"grep -q '\"{{}}\"' {DAEMON_JSON}",
    ),
    Variable(
        "docker_daemon_live_restore",
        {"true": True},
        f"grep -q '\"live-restore\": {{}}' {DAEMON_JSON}",
    ),
]
VALUES = [(each.name, value) for each in VARIABLES for value in each.values]
# What somebody does by hand, and the files that they touch.
BY_HAND = {
    "makes the socket writable for all": ("chmod 0666 /run/docker.sock", ["/run/docker.sock"]),
    "changes the size of logs": (
        f'sed -i \'s/"max-size": "[0-9]*m"/"max-size": "77m"/\' {DAEMON_JSON}',
        [DAEMON_JSON],
    ),
    "trusts a registry without TLS": (
        f"""python3 -c 'import json, os
file = "{DAEMON_JSON}"
keys = json.load(open(file)) if os.path.exists(file) else dict()
os.makedirs("/etc/docker", exist_ok=True)
json.dump(dict(keys, **{{"insecure-registries": ["10.8.8.8:5000"]}}), open(file, "w"), indent=2)'
systemctl reload docker""",
        [DAEMON_JSON, "/etc/docker"],
    ),
    "removes the engine's configuration": (f"rm --force {DAEMON_JSON}", [DAEMON_JSON]),
    "opens the configuration to all": (
        f"touch {DAEMON_JSON}; [ -s {DAEMON_JSON} ] || echo '{{}}' >{DAEMON_JSON}; chmod 0666 {DAEMON_JSON}",
        [DAEMON_JSON, "/etc/docker"],
    ),
    "bypasses the firewall": ("iptables --delete INPUT --jump HARDENER-INPUT || true", []),
    "empties the firewall": ("iptables --flush HARDENER-DOCKER || true", []),
    "stops automatic updates": (
        "systemctl disable --now apt-daily-upgrade.timer",
        ["apt-daily-upgrade.timer"],
    ),
    "removes the firewall's unit": (
        "rm --force /etc/systemd/system/hardener-firewall.service",
        ["hardener-firewall.service"],
    ),
    "gives a user the engine": ("gpasswd --add mallory docker", ["/etc/group", "/etc/gshadow"]),
}
WAIVABLE = ("daemon-log-level-info", "file-docker-sock-mode", "host-firewall-input-ipv4")


@dataclass(slots=True)
class Site:
    """A host, the variables that its inventory sets, and what was done by hand.

    Attributes:
        values: the value of each variable that is set, as a key of ``Variable.values``.
        restarted: the containers that the engine starts at boot.
        apart: the containers that were deployed while the engine's configuration separated containers.
        touched: paths that a person has changed.
        first: its state on the first day.
    """

    host: lab.Guest
    values: dict[str, str] = field(default_factory=dict)
    restarted: dict[str, bool] = field(default_factory=dict)
    apart: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    first: State = field(default_factory=dict)

    def state(self) -> State:
        found: State = json.loads(self.host.ssh("python3", "-", stdin=_STATE).stdout)
        return found

    def works(self) -> set[str]:
        """What works: ``NAME``, ``NAME:PORT`` and by IPv6 ``[NAME:PORT]`` for a neighbour, ``NAME>NAME``."""
        look = _LOOK.format(ports=" ".join(f"{name}:{port}" for name, port in PORTS.items()))
        return set(self.host.ssh("sh", "-c", look, check=False).stdout.split())

    def comes_back(self, work: str) -> bool:
        """Whether the engine itself starts the containers of something that works, as ``works`` lists it."""
        return all(self.restarted[container] for container in _containers(work))

    @property
    def separates(self) -> bool:
        """Whether the configuration of the engine separates the containers of its default bridge."""
        return self.host.ssh("grep", "-q", '"icc": false', DAEMON_JSON, check=False).returncode == 0

    def lost(self, worked: set[str]) -> set[str]:
        """What worked and no longer works, after half a minute in which engine and containers may start."""
        deadline = time.monotonic() + 30
        while (missing := worked - self.works()) and time.monotonic() < deadline:
            time.sleep(1)
        return missing


class World:
    """Two hosts with one inventory; each command asserts what must hold after it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.sites: dict[str, Site] = {}
        self._package_is_named = False  # by a command that takes back
        self._told = ""  # by all commands
        try:
            for name in NAMES:
                self.sites[name] = Site(namespace_host.start(name, "13"))
                self.sites[name].host.ssh("sh", "-c", f"useradd mallory\n{WEB_IMAGE}{NEIGHBOUR}")
            self.sites["two"].host.ssh("sh", "-c", BARE)
            self.fleet = Fleet([site.host for site in self.sites.values()], folder)
            (folder / "host_vars").mkdir()
            for name, site in self.sites.items():
                self._write(name)
                site.first = site.state()
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        for site in self.sites.values():
            site.host.stop()

    # --- what a person does

    def set(self, name: str, variable: tuple[str, str]) -> None:
        """Set a variable of a host in the inventory."""
        self.sites[name].values |= dict([variable])
        self._write(name)

    def unset(self, name: str, variable: str) -> None:
        self.sites[name].values.pop(variable, None)
        self._write(name)

    def deploy(self, name: str, container: str, *, restarted: bool) -> None:
        site = self.sites[name]
        site.restarted[container] = restarted
        policy = "always" if restarted else "no"
        site.host.ssh("sh", "-c", _RUN.format(name=container, policy=policy, port=PORTS[container]))
        site.apart.discard(container)
        if site.separates:
            site.apart.add(container)

    def by_hand(self, name: str, what: str) -> None:
        script, paths = BY_HAND[what]
        self.sites[name].touched.update(paths)
        self.sites[name].host.ssh("sh", "-c", script)

    def waive(self, control: str | None) -> None:
        today = datetime.now(UTC).date()
        days = {"created": today.isoformat(), "expires": (today + timedelta(days=30)).isoformat()}
        waivers = [{**_WAIVER, **days, "control": control}] if control else []
        (self._folder / "waivers.yml").write_text(yaml.safe_dump({"waivers": waivers}))

    def reboot(self, name: str) -> None:
        with self._started_again(name) as site:
            reboot(site.host)
            site.host.ssh("sh", "-c", NEIGHBOUR)

    def upgrade(self, name: str) -> None:
        """Upgrade the engine, and restart it."""
        with self._started_again(name) as site:
            before = site.state()
            site.host.ssh("sh", "-c", UPGRADE)
            site.touched |= _differing(before, site.state())

    def restart(self, name: str) -> None:
        """Restart the containers."""
        with self._started_again(name, all_of_them=True) as site:
            site.host.ssh("sh", "-c", "docker ps --quiet | xargs --no-run-if-empty docker restart --time 1")

    @contextmanager
    def _started_again(self, name: str, *, all_of_them: bool = False) -> Iterator[Site]:
        """Containers work afterwards as before; those that a command has named may be separated now."""
        site = self.sites[name]
        stay = {each for each in site.works() if all_of_them or site.comes_back(each)}
        yield site
        lost = site.lost(stay)
        if site.separates:
            told = site.apart | set(re.findall(r"\w+", " ".join(re.findall(_SEPARATED, self._told))))
            lost = {each for each in lost if ">" not in each or not told & set(_containers(each))}
        assert lost == set(), f"{name} has lost {lost}"

    # --- what hardener does

    def command(self, verb: str, *options: str, node: str, codes: tuple[int, ...]) -> str:
        """Run a command of a control node; nothing may be lost that its output does not name."""
        worked = {name: site.works() for name, site in self.sites.items()}
        done = self.fleet.run(verb, *options, node=node)
        said = done.stdout + done.stderr
        self._told += said
        if verb in ("rollback", "release"):
            self._package_is_named |= "unattended-upgrades stays installed" in said
        assert done.returncode in codes, f"{verb} {options}: {done.returncode}\n{said}"
        for name, site in self.sites.items():
            lost = {
                each
                for each in site.lost(worked[name])
                if not any(container in said for container in _containers(each))
            }
            assert not lost, f"{name} has lost {lost}: {verb} {options}\n{said}"
        return said

    def harden(self, allow: str, node: str) -> None:
        """Harden: hosts have what the inventory sets, or it is named; a second run changes nothing."""
        options = ("--allow", allow)
        said = self.command("harden", *options, node=node, codes=DONE)
        for name, site in self.sites.items():
            for variable in VARIABLES:
                value = site.values.get(variable.name)
                if value and not variable.in_force(site.host, value):
                    held = re.search(rf"^{name}: .*(held|blocked).*{variable.control}", said, re.MULTILINE)
                    named = variable.name in said or (variable.control and held)
                    assert named, f"{name}: {variable.name} is not {value}\n{said}"
        before = self._after()
        again = self.command("harden", *options, node=node, codes=DONE)
        assert self._after() == before, f"a second run has changed something\n{said}\n{again}"

    def drift(self, node: str, *, remediate: bool) -> None:
        options = ("--remediate", "--allow=connectivity") if remediate else ()
        self.command("drift", *options, node=node, codes=(0, 2, 4, 6, 7, 9))

    def rollback(self, node: str) -> None:
        self.command("rollback", node=node, codes=(0, 9))

    def killed(self, allow: str, after: int) -> None:
        """Kill a controller while it hardens."""
        with self._settling(allow):
            process = self.fleet.start("harden", "--allow", allow, node="a")
            try:
                process.wait(after)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def worker_killed(self, name: str, allow: str, after: int) -> None:
        """Kill the program that changes a host, some tenths of a second after its first change."""
        script = f"{once(JOURNAL)}; sleep 0.{after}; systemctl kill --signal=KILL 'hardener-*.scope'"
        background(self.sites[name].host, f"timeout 120 sh -c {shlex.quote(script)}")
        with self._settling(allow):
            done = self.fleet.run("harden", "--allow", allow, node="a")
            assert done.returncode in (*DONE, 5), done.stderr
            self.sites[name].host.ssh("pkill", "--full", "^timeout 120 ", check=False)  # it had nothing to do

    def together(self, allow: str) -> None:
        """Harden from two control nodes at the same time."""
        with self._settling(allow):
            both = [self.fleet.start("harden", "--allow", allow, node=node) for node in ("a", "b")]
            for process in both:
                _, said = process.communicate()
                assert process.returncode in DONE, said

    @contextmanager
    def _settling(self, allow: str) -> Iterator[None]:
        """Wait afterwards until the hosts have completed or taken back the change; they lose nothing.

        What a plan may have named is not compared, since the output can be cut off.
        """
        worked = {name: site.works() for name, site in self.sites.items()}
        yield
        for name, site in self.sites.items():
            settled(site.host)
            stops = allow == "containers-stop"
            kept = {
                each
                for each in worked[name]
                if not (each.startswith("[") or ">" in each) and (not stops or site.comes_back(each))
            }
            assert site.lost(kept) == set(), f"{name}: {self.fleet.records(site.host)[-1:]}"

    def release(self, node: str) -> None:
        """Release: hosts are as on the first day, but for what a person changed and what the output names."""
        said = self.command("release", node=node, codes=(0,))
        for name, site in self.sites.items():
            differ = _differing(site.first, site.state())
            explained = (*site.touched, *(_PACKAGE if self._package_is_named else ()))
            left = {
                path for path in differ if path not in said and not any(each in path for each in explained)
            }
            assert left == set(), f"{name}: {sorted(left)}\n{said}"

    def _after(self) -> list[tuple[State, list[tuple[int, str]]]]:
        return [(site.state(), self.fleet.records(site.host)) for site in self.sites.values()]

    def _write(self, name: str) -> None:
        values = self.sites[name].values
        chosen = {each.name: each.values[values[each.name]] for each in VARIABLES if each.name in values}
        file = self._folder / "host_vars" / f"{name}.yml"
        file.write_text(yaml.safe_dump({**ULIMITS, "converge_confirm_timeout": 60, **chosen}))
