"""Six hosts that differ in all that a change is computed from: together, each gets what it gets alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
import yaml

from hardener import lab
from tests.hosts import namespace_host
from tests.hosts.fleet import Fleet
from tests.hosts.play import PLAYBOOK, environment
from tests.hosts.provisioning import WITHOUT_DOCKER
from tests.hosts.workload import DAEMON_JSON, IMAGE, shell


class Kind(NamedTuple):
    """The distribution of a host, the file and content of its engine's configuration, and its containers."""

    distribution: str
    file: str
    configuration: Mapping[str, Any]
    containers: int


KINDS = {
    "web01": Kind("debian", DAEMON_JSON, {}, 3),
    "web02": Kind("ubuntu", "/etc/docker/site.json", {"data-root": "/var/lib/docker/site"}, 2),
    "db01": Kind("other", DAEMON_JSON, {"insecure-registries": ["10.1.0.0/16"]}, 1),
    "web03": Kind("debian", "/srv/engine.json", {"debug": True}, 2),
    "job01": Kind("ubuntu", DAEMON_JSON, {"userns-remap": "default"}, 1),
    "bare01": Kind("debian", "", {}, 0),  # it has no engine
}
# Users, ports, addresses and the name of the release contain the number of the host.
HOST = r"""
set -eu
for name in ann{number} bob{number}; do useradd --groups docker $name; done
printf 'Port 22\nPort 220{number}\n' >/etc/ssh/sshd_config.d/site.conf
systemctl restart ssh
iptables --append INPUT --protocol tcp --dport 910{number} --jump ACCEPT
ip6tables --append INPUT --source 2001:db8::{number} --jump DROP
sed -i 's/^PRETTY_NAME=.*/PRETTY_NAME="Site {number}"/; s/^ID=.*/ID={kind.distribution}/' /etc/os-release
"""
ENGINE = r"""
mkdir -p /etc/docker
echo '{configuration}' >{kind.file}
echo 'DOCKER_OPTS=--config-file={kind.file}' >/etc/default/docker
systemctl restart docker
{image}
for number in $(seq {kind.containers}); do
  docker run --detach --name {name}-$number busybox:test stay >/dev/null
done
"""
# All that the controls below change, without times; first the checksums of files.
STATE = r"""
find /etc /usr/local /srv -type f -not -name '*-' -exec sha256sum {} + | sort -k2
find /etc /usr/local /srv /run/docker.sock -not -path /etc/mtab -not -name '*-' \
  -printf '%p %y %m %u %g %l\n' 2>/dev/null | sort
{ iptables-save; ip6tables-save; } | grep -e ^-A -e '^:.* - ' | sed 's/ \[.*//' | sort
systemctl list-units --all --plain --no-legend 'hardener*' | awk '{print $1, $3}'
docker info --format '{{.LiveRestoreEnabled}} {{.SecurityOptions}} {{.DockerRootDir}} {{.LoggingDriver}}'
docker ps --all --format '{{.Names}} {{.State}}' | sort
"""
# The facts of a host decide these, and a host in namespaces can be changed accordingly.
CONTROLS = ("daemon", "docker-group-trusted-users", "host-firewall-input-ipv4", "host-firewall-docker-user")
ONLY = tuple(f"--only={each}" for each in CONTROLS)
ALLOW = "--allow=connectivity"
ROLES = (
    "security_updates",
    "docker_files",
    "docker_group",
    "firewall",
    "userns_remap",
    "docker_daemon",
    "seccomp",
)
# A play of a site. Since ansible-core 2.21 its first task makes all hosts share one dictionary of facts.
SITE = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.debug: {msg: a site's own task}
      run_once: true
- import_playbook: hardener.docker.harden
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.copy:
        content: "{{ converge_pending | sort(attribute='name') | to_json }}"
        dest: "{{ folder }}/{{ inventory_hostname }}"
      delegate_to: localhost
      check_mode: false
"""
# What somebody undoes after the run, by the host and the control that fails then.
UNDONE = {
    ("web01", "docker-group-trusted-users"): "gpasswd --add bob1 docker",
    ("web02", "host-firewall-input-ipv4"): "iptables --delete INPUT --jump HARDENER-INPUT",
    ("web03", "host-firewall-docker-user"): "iptables --delete DOCKER-USER --jump HARDENER-DOCKER",
}
States = dict[str, list[str]]


class Six(Fleet):
    """The six hosts, with variables of their own."""

    def __init__(self, hosts: list[lab.Guest], folder: Path) -> None:
        super().__init__(hosts, folder)
        (folder / "host_vars").mkdir()
        for number, host in enumerate(hosts, 1):
            variables = {
                "hardener_policy": {"docker_group_members": [f"ann{number}"]},
                "docker_daemon_log_opts": {"max-size": f"1{number}m"},
                "firewall_allow": [{"port": 9100 + number}],
            }
            (folder / "host_vars" / f"{host.name}.yml").write_text(yaml.safe_dump(variables))

    def states(self) -> States:
        return {host.name: shell(host, STATE).splitlines() for host in self.hosts}

    def plan(self, folder: Path, *options: str) -> dict[str, Any]:
        path = folder / "plan.json"
        done = self.run("plan", *ONLY, ALLOW, f"--json={path}", *options, node=folder.name)
        assert done.returncode == 3, done.stderr
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def documents(self, folder: Path, *options: str) -> dict[str, Any]:
        """The documents that plain ansible-playbook renders for each host."""
        kept, play = folder / "documents", folder / "site.yml"
        kept.mkdir()
        play.write_text(SITE)
        variables = {"harden_all_roles": ROLES, "converge_on_refused": "warn", "folder": str(kept)}
        extra = f"--extra-vars={json.dumps(variables)}"
        done = subprocess.run(
            [PLAYBOOK, f"--inventory={self.inventory}", "--check", "--forks=6", extra, *options, play],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=1200,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return {path.name: json.loads(path.read_text()) for path in kept.iterdir()}


class Alone(NamedTuple):
    """A plan file of all hosts, and their documents, from runs with one host each."""

    plan: dict[str, Any]
    documents: dict[str, Any]


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    """A thread for each host, until all tests are over: a host ends with the thread that has started it."""
    with ThreadPoolExecutor(len(KINDS)) as threads:
        yield threads


@pytest.fixture(scope="module")
def fleet(pool: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Six]:
    hosts = list(pool.map(lambda name: namespace_host.start(name, "13"), KINDS))
    try:
        list(pool.map(prepare, hosts, range(1, len(hosts) + 1)))
        yield Six(list(hosts), tmp_path_factory.mktemp("six"))
    finally:
        for host in hosts:
            host.stop()


def prepare(host: lab.Guest, number: int) -> None:
    kind = KINDS[host.name]
    configuration = json.dumps(kind.configuration)
    engine = ENGINE.format(name=host.name, kind=kind, configuration=configuration, image=IMAGE)
    script = HOST.format(number=number, kind=kind) + (engine if kind.file else WITHOUT_DOCKER)
    host.ssh("sh", "-c", script)


@pytest.fixture(scope="module")
def alone(fleet: Six, pool: ThreadPoolExecutor, tmp_path_factory: pytest.TempPathFactory) -> Alone:
    def only(name: str) -> Alone:
        folder = tmp_path_factory.mktemp(name)
        return Alone(fleet.plan(folder, "--limit", name), fleet.documents(folder, "--limit", name))

    each = list(pool.map(only, KINDS))
    plans = {name: plan for one in each for name, plan in one.plan["hosts"].items()}
    documents = {name: rendered for one in each for name, rendered in one.documents.items()}
    return Alone({**each[0].plan, "hosts": plans}, documents)


@pytest.fixture(scope="module")
def hardened() -> States:
    """The hardened hosts as the first run has left them."""
    return {}


@pytest.fixture(params=["linear", pytest.param("free", marks=pytest.mark.slow)])
def strategy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ANSIBLE_STRATEGY", request.param)
    return str(request.param)


def test_the_hosts_differ_in_plans_and_documents(alone: Alone) -> None:
    assert list(alone.plan["hosts"]) == list(KINDS)
    assert len({json.dumps(each) for each in alone.documents.values()}) == len(KINDS)
    assert {each["failure"] for each in alone.plan["hosts"].values()} == {None}
    for number, (name, kind) in enumerate(KINDS.items(), 1):
        changes = {each["path"]: each["diff"] for each in alone.plan["hosts"][name]["changes"]}
        assert f"--dport 910{number} " in changes["/etc/hardener/firewall/inbound.ipv4"]
        files = {each.file for each in KINDS.values()}
        assert files & changes.keys() == {kind.file} - {""}


@pytest.mark.parametrize("strategy", ["linear", "free"], indirect=True)
def test_the_plans_of_a_fleet_are_those_of_its_hosts(
    fleet: Six, alone: Alone, strategy: str, tmp_path: Path
) -> None:
    assert fleet.plan(tmp_path)["hosts"] == alone.plan["hosts"]


def test_the_documents_of_a_fleet_are_those_of_its_hosts(
    fleet: Six, alone: Alone, strategy: str, tmp_path: Path
) -> None:
    assert fleet.documents(tmp_path) == alone.documents


def test_a_fleet_is_hardened_repaired_rolled_back_and_released(
    fleet: Six, alone: Alone, hardened: States, strategy: str, tmp_path: Path
) -> None:
    def run(verb: str, *options: str) -> tuple[int, str]:
        done = fleet.run(verb, *options, node=strategy)
        return done.returncode, done.stderr

    before = fleet.states()
    plan, report, told = (tmp_path / name for name in ("plan.json", "report.json", "told.json"))
    plan.write_text(json.dumps(alone.plan))
    code, said = run("harden", f"--plan={plan}", *ONLY, f"--json={report}")
    assert code == 3, said
    assert failing(report.with_name("report.before.json")) == {
        name: {each["control"] for each in planned["controls"]}
        for name, planned in alone.plan["hosts"].items()
    }
    after = fleet.states()
    for name, planned in alone.plan["hosts"].items():
        new = {line.split()[1] for line in set(after[name]) - set(before[name]) if len(line.split()[0]) == 64}
        assert new - {"/etc/group", "/etc/gshadow"} == {each["path"] for each in planned["changes"]}, said
    assert {**after, **hardened} == after
    hardened.update(after)

    for (name, _), script in UNDONE.items():
        (host,) = (each for each in fleet.hosts if each.name == name)
        host.ssh("sh", "-ec", script)
    undone = fleet.states()
    notify = ("--notify-command", f"tee {told}")
    code, said = run("drift", "--against=latest", "--remediate", ALLOW, *notify)
    assert code == 7, said
    moved = json.loads(told.read_text())["found"]["moved"]
    assert {(host, each["control"]) for each in moved if each["drift"] for host in each["hosts"]} == set(
        UNDONE
    )
    assert fleet.states() == after

    code, said = run("rollback")
    assert code == 0, said
    repaired = {name for name, _ in UNDONE}
    assert fleet.states() == {name: (undone if name in repaired else before)[name] for name in KINDS}
    code, said = run("release")
    assert code == 0, said
    assert fleet.states() == before


def test_hosts_get_what_their_inventory_sets_and_lose_what_it_no_longer_sets(
    fleet: Six, tmp_path: Path
) -> None:
    some = fleet.hosts[:2]
    folder = fleet.inventory.parent / "host_vars"
    before = {host.name: shell(host, STATE) for host in some}

    def run(verb: str, *options: str, code: int) -> str:
        done = fleet.run(verb, "--limit=web01,web02", *options, node="wishes")
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr

    def sizes() -> list[str | None]:
        """The size of log files that the engine of each host is configured with."""
        files = [KINDS[host.name].file for host in some]
        found = [json.loads(shell(host, f"cat {file}")) for host, file in zip(some, files, strict=True)]
        return [each.get("log-opts", {}).get("max-size") for each in found]

    kept = {"docker_daemon_live_restore": True}  # so that containers survive a restart of the engine

    def write(name: str, **variables: Any) -> None:
        (folder / f"{name}.yml").write_text(yaml.safe_dump(variables))

    harden = ("harden", "--only=wishes", ALLOW)
    assert "held (containers-stop): docker_daemon_log_opts" in run(*harden, code=3)
    for number, host in enumerate(some, 1):
        write(host.name, **kept, docker_daemon_log_opts={"max-size": f"1{number}m"}, firewall_allow=[])
    run(*harden, code=3)
    assert sizes() == ["11m", "12m"]
    assert "INPUT --jump HARDENER-INPUT" not in shell(some[0], "iptables --list-rules")  # not in force
    applied = {host.name: shell(host, STATE) for host in some}
    assert "no value of the inventory has to be applied" in run(*harden, code=3)

    shell(some[0], f"sed -i s/11m/77m/ {DAEMON_JSON}")
    changed = {"docker_daemon_log_opts": {"max-size": "13m"}, "docker_daemon_no_new_privileges": False}
    write("web02", **kept, **changed)
    report = tmp_path / "junit.xml"
    said = run("drift", "--against=latest", f"--junit={report}", code=6)
    found = {
        str(case.get("classname")).split(".")[-2]: [element.tag for element in case]
        for case in ElementTree.parse(report).iter("testcase")
        if case.get("name") == "docker_daemon"
    }
    assert found == {"web01": ["failure"], "web02": ["skipped"]}
    assert "web01: drifted from the inventory: docker_daemon_log_opts" in said
    assert "web02: not applied yet: docker_daemon_log_opts" in said
    run("drift", "--against=latest", "--remediate", ALLOW, code=7)
    assert sizes() == ["11m", "12m"]

    write("web01")
    plan = tmp_path / "plan.json"
    run("plan", "--only=wishes", ALLOW, f"--json={plan}", code=3)
    planned = json.loads(plan.read_text())["hosts"]
    left = {each["variable"]: each["set"] for each in planned["web01"]["wishes"] if each["paths"]}
    assert left == {"docker_daemon_log_driver": []}
    held = {
        each["variable"]: each["reason"]
        for each in planned["web02"]["wishes"]
        if each["reason"] and each["fate"] != "change"
    }
    why = "it weakens 2.15: --accept-weaker daemon-no-new-privileges applies it"
    assert held == {"docker_daemon_no_new_privileges": why}
    run("harden", f"--plan={plan}", "--only=wishes", code=3)
    assert sizes() == ["10m", "13m"]
    run(*harden, "--accept-weaker=2.15", code=3)
    run("rollback", "--limit=web02", code=0)
    assert sizes() == ["10m", "13m"]
    run("rollback", "--limit=web02", code=0)
    assert shell(some[1], STATE) == applied["web02"]
    run("release", code=0)
    assert {host.name: shell(host, STATE) for host in some} == before


@pytest.mark.slow
def test_a_fleet_is_hardened_as_its_hosts_alone(
    fleet: Six, alone: Alone, hardened: States, pool: ThreadPoolExecutor, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps(alone.plan))

    def only(name: str) -> None:
        report = tmp_path / f"{name}.json"
        done = fleet.run("harden", f"--plan={plan}", *ONLY, "--limit", name, f"--json={report}", node=name)
        assert done.returncode == (3 if failing(report)[name] else 0), done.stderr

    list(pool.map(only, KINDS))
    assert fleet.states() == hardened


def failing(report: Path) -> dict[str, set[str]]:
    """The controls that fail, by host."""
    return {
        host["host"]: {each["slug"] for each in host["findings"] if each["status"] == "fail"}
        for host in json.loads(report.read_text())["hosts"]
    }
