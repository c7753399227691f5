"""The firewall's rules in the kernel: packets between network namespaces, through iptables of both kinds."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.namespaces import Space, address, join
from tests.unit.checks.lib.packetfilter.asking import recorded
from tests.unit.plugins.loading import COLLECTIONS
from tests.unit.plugins.module_utils.render.rendering import documents_of
from tests.unit.snapshots import container, make, only

KILLED = "killed"
DRIVER = """
import json, os, signal, sys
KILLED = "killed"
on_host, root, path, wrong, function = sys.argv[1:]
sys.path[:0] = on_host.split(":")
from ansible_collections.hardener.docker.plugins.module_utils.converge import departure, main, system
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import firewall
from ansible_collections.hardener.docker.plugins.module_utils.host import processes
from ansible_collections.hardener.docker.plugins.module_utils.subjects import owners
main.FOLDER = root + "/hardener"
processes.scan = dict  # engines of other tests are none of this host's
owners.OUTSIDE = {}
departure.OWN_FOLDERS = tuple(root + folder for folder in departure.OWN_FOLDERS)
departure.PLACES = tuple(root + place for place in departure.PLACES)
firewall.FOLDER = root + firewall.FOLDER
system._ENVIRONMENT["PATH"] = system._PATH = path
if wrong == KILLED:
    firewall.Firewall.problems = lambda self: os.kill(os.getpid(), signal.SIGKILL)
elif wrong:
    firewall.Firewall.problems = lambda self: [wrong]
print(json.dumps(getattr(main, function)(json.load(sys.stdin))))
"""
# What Docker 26 loads for a container on docker0 that publishes 8080 everywhere and 9090 on loopback.
DOCKER = """\
*nat
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A DOCKER -i docker0 -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 5432 -j DNAT --to-destination 172.17.0.2:80
-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 9090 -j DNAT --to-destination 172.17.0.2:90
COMMIT
*filter
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 90 -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
"""
# fail2ban's way, and a rule of the administrator's.
FOREIGN = """\
*filter
:f2b-sshd - [0:0]
-A f2b-sshd -s 10.9.0.66/32 -j REJECT --reject-with icmp-port-unreachable
-A f2b-sshd -j RETURN
-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd
-A INPUT -p tcp -m tcp --dport 7777 -j ACCEPT
COMMIT
"""


class Host:
    """A host in a namespace, with a neighbour and a container."""

    def __init__(self, space: Space, folder: Path, programs: Path) -> None:
        self.space = space
        self.folder = folder
        self.programs = programs

    def rules(self, tool: str = "iptables") -> list[str]:
        """What is loaded, in the order of the tables' names, without dates and counters."""
        text = re.sub(r"\[\d+:\d+\]|#.*", "", self.space.run(f"{tool}-save"))
        tables = sorted(part.strip() for part in text.split("COMMIT"))
        return [line.strip() for table in tables for line in table.splitlines()]

    def documents(self, **variables: Any) -> list[dict[str, Any]]:
        """The role's documents for what is here, in files below a folder."""
        saved = {
            family: self.space.run(f"{tool}-save") if (self.programs / tool).exists() else None
            for family, tool in FAMILIES.items()
        }
        bindings = {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}
        nft = json.loads(self.space.run("nft", "--json", "list", "ruleset"))["nftables"]
        driver = "nftables" if any("docker-bridges" in str(each) for each in nft) else "iptables"
        snapshot = make(
            firewall=only({"iptables": {"variant": None, **saved}, "nft": nft, "errors": {}}),
            **{
                "docker.containers": [container("web", HostConfig={"PortBindings": only(bindings)})],
                "docker.info": {"FirewallBackend": {"Driver": driver}},
            },
        )
        documents = documents_of("firewall")(snapshot.raw, **{**VARIABLES, **variables})
        text = json.dumps(documents).replace("/etc/hardener", f"{self.folder}/etc/hardener")
        for path in ("/usr/local/sbin/", "/etc/systemd/"):
            text = text.replace(f'"{path}', f'"{self.folder}{path}')
        found: list[dict[str, Any]] = json.loads(text)
        return found

    def converge(
        self,
        documents: list[dict[str, Any]] | None = None,
        *,
        check: bool = False,
        wrong: str = "",
        ssh: str = "",
        **variables: Any,
    ) -> dict[str, Any]:
        """Make them true."""
        documents = self.documents(**variables) if documents is None else documents
        request = {"documents": documents, "check": check, "allow": "connectivity"}
        return self._call("converge", request, wrong=wrong, ssh=ssh)

    def release(self, role: str, *, check: bool = False, wrong: str = "") -> dict[str, Any]:
        """Give the host back, or what a role owns."""
        return self._call("release", {"role": role, "check": check, "allow": "connectivity"}, wrong=wrong)

    def _call(self, function: str, request: dict[str, Any], *, wrong: str, ssh: str = "") -> dict[str, Any]:
        answer = self.space.run(
            sys.executable,
            "-c",
            DRIVER,
            str(COLLECTIONS),
            str(self.folder),
            str(self.programs),
            wrong,
            function,
            given=json.dumps(request),
            SSH_CONNECTION=ssh,
        )
        result: dict[str, Any] = json.loads(answer)
        return result

    def loader(self, verb: str) -> None:
        """What the boot runs."""
        self.space.run("sh", str(self.folder / "usr/local/sbin/hardener-firewall"), verb)


FAMILIES = {"ipv4": "iptables", "ipv6": "ip6tables"}
VARIABLES: dict[str, Any] = {
    "inbound": True,
    "docker_user": True,
    "allow": [],
    "ssh_ports": [],
    "ssh_sources": [],
    "published": [],
    "published_others": "accept",
    "forward": [],
}


BOTH_KINDS = pytest.mark.parametrize("programs", ["nft", "legacy"], indirect=True)


@pytest.fixture
def programs(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder where iptables is of this kind; the one of today unless parametrized otherwise."""
    folder = tmp_path / "programs"
    folder.mkdir()
    program = shutil.which(f"xtables-{getattr(request, 'param', 'nft')}-multi")
    assert program is not None
    for tool in FAMILIES.values():
        for name in (tool, f"{tool}-save", f"{tool}-restore"):
            (folder / name).symlink_to(program)
    return folder


@pytest.fixture
def spaces(programs: Path) -> Iterator[tuple[Space, Space, Space]]:
    """The host (10.9.0.1, fd09::1), its neighbour (10.9.0.2, fd09::2), and a container (172.17.0.2)."""
    with Space(path=programs) as host, Space() as peer, Space() as inner:
        join(host, "eth0", peer, "eth0")
        join(host, "veth0", inner, "eth0")
        host.run("ip", "link", "add", "name", "docker0", "type", "bridge")
        host.run("ip", "link", "set", "veth0", "master", "docker0")
        host.run("ip", "link", "set", "docker0", "up")
        address(host, "eth0", "10.9.0.1/24", "fd09::1/64")
        address(host, "docker0", "172.17.0.1/16")
        address(peer, "eth0", "10.9.0.2/24", "fd09::2/64")
        address(inner, "eth0", "172.17.0.2/16")
        inner.run("ip", "route", "add", "default", "via", "172.17.0.1")
        peer.run("ip", "route", "add", "172.17.0.0/16", "via", "10.9.0.1")
        host.run("sysctl", "--quiet", "--write", "net.ipv4.ip_forward=1")
        host.run("iptables-restore", "--noflush", given=DOCKER)
        host.run("iptables-restore", "--noflush", given=FOREIGN)
        yield host, peer, inner


@pytest.fixture
def host(spaces: tuple[Space, Space, Space], tmp_path: Path, programs: Path) -> Host:
    return Host(spaces[0], tmp_path, programs)


@pytest.fixture
def peer(spaces: tuple[Space, Space, Space]) -> Space:
    return spaces[1]


@pytest.fixture
def inner(spaces: tuple[Space, Space, Space]) -> Space:
    return spaces[2]


BEYOND = "10.8.0.2 80"


@pytest.fixture
def beyond(host: Host, peer: Space) -> Iterator[None]:
    """Have another neighbour with a server, to which the host forwards."""
    with Space() as other:
        join(host.space, "eth1", other, "eth0")
        address(host.space, "eth1", "10.8.0.1/24")
        address(other, "eth0", "10.8.0.2/24")
        other.run("ip", "route", "add", "default", "via", "10.8.0.1")
        peer.run("ip", "route", "add", "10.8.0.0/24", "via", "10.9.0.1")
        other.serve("10.8.0.2", 80)
        yield


@BOTH_KINDS
def test_unlisted_ports_are_refused_over_ipv4_and_ipv6_and_open_connections_continue(
    host: Host, peer: Space
) -> None:
    for place, port in (
        ("10.9.0.1", 22),
        ("10.9.0.1", 443),
        ("fd09::1", 22),
        ("fd09::1", 443),
        ("fd09::1", 8000),
    ):
        host.space.serve(place, port)
    host.space.serve("10.9.0.1", 8000, echo=True)
    held = peer.hold("10.9.0.1", 8000)
    assert held.answers()
    result = host.converge(allow=[{"port": 443, "sources": ["10.9.0.2"], "comment": "web (only here)"}])
    assert result["outcome"] == "changed", result
    assert held.answers()
    both = [f"{address} {port}" for address in ("10.9.0.1", "fd09::1") for port in (22, 443, 8000)]
    assert peer.connect(*both) == "open open filtered open filtered filtered"
    peer.ping("10.9.0.1")
    peer.ping("fd09::1")


@BOTH_KINDS
def test_containers_are_reachable_only_by_published_ports(host: Host, peer: Space, inner: Space) -> None:
    inner.serve("172.17.0.2", 80)
    inner.serve("172.17.0.2", 90)
    peer.serve("10.9.0.2", 443)
    # A neighbour that routes our loopback address to us: see moby #45610.
    peer.run("sysctl", "--quiet", "--write", "net.ipv4.conf.eth0.route_localnet=1")
    peer.run("ip", "address", "del", "127.0.0.1/8", "dev", "lo")
    peer.run("ip", "route", "add", "127.0.0.1/32", "via", "10.9.0.1", "dev", "eth0")
    published = ("10.9.0.1 8080", "10.9.0.1 5432")
    assert peer.connect(published[0], "127.0.0.1 9090", "172.17.0.2 90") == "open open open"
    assert host.converge()["outcome"] == "changed"
    found = peer.connect(*published, "127.0.0.1 9090", "172.17.0.2 90")
    assert found == "open open filtered filtered"
    assert inner.connect("10.9.0.2 443") == "open"

    here, elsewhere = ["10.9.0.2/32"], ["10.9.0.3/32"]
    host.converge(published=[{"port": 8080, "sources": here}, {"port": 5432, "sources": elsewhere}])
    assert peer.connect(*published) == "open filtered"
    host.converge(published=[{"port": "8000-8100"}], published_others="drop")
    assert peer.connect(*published) == "open filtered"


@pytest.mark.usefixtures("beyond")
def test_published_ports_of_an_engine_that_filters_with_nftables_are_limited(
    host: Host, peer: Space, inner: Space
) -> None:
    for table in ("filter", "nat"):
        host.space.run("iptables", "--table", table, "--flush")
        host.space.run("iptables", "--table", table, "--delete-chain")
    host.space.run("nft", "--json", "--file", "-", given=recorded("docker29.nft.json"))
    for port in (80, 90):
        inner.serve("172.17.0.2", port)
    peer.serve("10.9.0.2", 443)
    places = ("10.9.0.1 8080", "172.17.0.2 80", "172.17.0.2 90")
    assert peer.connect(*places) == "open filtered filtered"
    for sources, reached in ((["10.9.0.3"], "filtered"), (["10.9.0.0/24"], "open"), ([], "open")):
        published = [{"port": 8080, **({"sources": sources} if sources else {})}]
        assert host.converge(published=published, published_others="drop")["outcome"] == "changed"
        assert peer.connect(*places) == f"{reached} filtered filtered"
        assert inner.connect("10.9.0.2 443") == "open"
    assert peer.connect(BEYOND) == "filtered"
    assert host.converge(published=published, published_others="drop")["outcome"] == "unchanged"
    host.converge(published_others="drop")
    assert peer.connect(*places) == "filtered filtered filtered"
    # As after a restart of the engine, which loads its own table again.
    host.space.run("nft", "flush table ip docker-bridges; delete table ip docker-bridges")
    host.space.run("nft", "--json", "--file", "-", given=recorded("docker29.nft.json"))
    assert peer.connect(*places) == "filtered filtered filtered"
    assert host.converge(published_others="drop")["outcome"] == "unchanged"
    assert host.release("firewall")["outcome"] == "changed"
    assert peer.connect(*places) == "open filtered filtered"
    assert not any("HARDENER" in rule for rule in host.rules())


@pytest.mark.usefixtures("beyond")
def test_unlisted_forwarding_between_other_interfaces_is_refused(host: Host, peer: Space) -> None:
    assert peer.connect(BEYOND) == "open"
    documents = host.documents()
    assert "firewall_forward" in str(documents[1]["notes"])
    host.converge()
    assert peer.connect(BEYOND) == "filtered"
    host.converge(forward=[{"from": "eth0", "to": "eth1", "sources": ["10.9.0.0/24"]}])
    assert peer.connect(BEYOND) == "open"


@BOTH_KINDS
def test_a_second_run_changes_nothing_and_foreign_rules_stay(host: Host) -> None:
    before = host.rules()
    assert host.converge(check=True)["outcome"] == "would_change"
    assert host.rules() == before
    assert host.converge()["outcome"] == "changed"
    loaded = host.rules(), host.rules("ip6tables")
    assert [line for line in before if line not in loaded[0]] == []
    second = host.converge()
    assert (second["outcome"], second["activations"]) == ("unchanged", [])
    assert (host.rules(), host.rules("ip6tables")) == loaded


WRECKING = {
    "flushed by somebody": "*filter\n-F HARDENER-INPUT\nCOMMIT\n",
    "a rule of ours gone": "*filter\n-D HARDENER-INPUT -m conntrack --ctstate INVALID -j DROP\nCOMMIT\n",
    "a hole before our chain": "*filter\n-I INPUT -p tcp --dport 8000 -j ACCEPT\nCOMMIT\n",
    "a way around our chain": "*filter\n:away - [0:0]\n-I INPUT -p tcp --dport 8000 -g away\nCOMMIT\n",
    "a return before ours in DOCKER-USER": "*filter\n-I DOCKER-USER -s 10.0.0.0/8 -j RETURN\nCOMMIT\n",
    "not passed any more": "*filter\n-D INPUT -j HARDENER-INPUT\nCOMMIT\n",
    "passed twice": "*filter\n-A INPUT -j HARDENER-INPUT\nCOMMIT\n",
    "DOCKER-USER flushed": "*filter\n-F DOCKER-USER\nCOMMIT\n",
    "DOCKER-USER not passed": "*filter\n-D FORWARD -j DOCKER-USER\nCOMMIT\n",
    "a rule behind the last one": "*filter\n-A FORWARD -i wg0 -j ACCEPT\nCOMMIT\n",
    "everything flushed": "*filter\nCOMMIT\n",
}


@BOTH_KINDS
def test_changes_to_chains_of_hardener_are_repaired(host: Host) -> None:
    host.converge()
    for what, wreck in WRECKING.items():
        keep = [] if what == "everything flushed" else ["--noflush"]
        host.space.run("iptables-restore", *keep, given=wreck)
        found = host.converge(check=True)
        assert found["outcome"] == "would_change", what
        assert all(reason.startswith("ipv4: ") for each in found["activations"] for reason in each["why"]), (
            found
        )
        assert host.converge()["outcome"] == "changed", what
        assert host.converge()["outcome"] == "unchanged", what
    rules = host.rules()
    assert rules.count("-A INPUT -j HARDENER-INPUT") == 1
    assert rules.count("-A DOCKER-USER -j HARDENER-DOCKER") == 1


def test_rules_that_docker_appends_to_separate_containers_need_no_repair(host: Host) -> None:
    host.converge()
    separate = "*filter\n-A FORWARD -i docker0 -o docker0 -j DROP\nCOMMIT\n"
    host.space.run("iptables-restore", "--noflush", given=separate)
    assert host.converge()["outcome"] == "unchanged"

    path = [{"from": "docker0", "to": "docker0"}]
    assert host.converge(forward=path)["outcome"] == "changed"
    assert host.rules().index("-A FORWARD -i docker0 -o docker0 -j DROP") < host.rules().index(
        "-A FORWARD -j HARDENER-FORWARD"
    )
    assert host.converge(forward=path)["outcome"] == "unchanged"


def test_rules_of_fail2ban_before_those_of_hardener_are_not_moved(host: Host) -> None:
    host.converge()
    host.space.run("iptables", "--insert", "INPUT", "-p", "tcp", "--jump", "f2b-sshd")
    assert host.converge()["outcome"] == "unchanged"


@BOTH_KINDS
def test_a_failed_run_is_rolled_back(host: Host) -> None:
    before = host.rules(), host.rules("ip6tables")
    result = host.converge(wrong="the door is shut")
    assert (result["outcome"], result["reason"]) == ("rolled_back", "the door is shut")
    assert (without_empty(host.rules()), without_empty(host.rules("ip6tables"))) == tuple(
        map(without_empty, before)
    )
    assert not (host.folder / "etc/hardener").exists()

    host.converge()
    loaded = host.rules(), host.rules("ip6tables")
    result = host.converge(allow=[{"port": 1}], published_others="drop", wrong="the door is shut")
    assert result["outcome"] == "rolled_back"
    assert (host.rules(), host.rules("ip6tables")) == loaded
    assert host.converge()["outcome"] == "unchanged"


def test_a_killed_run_is_rolled_back_by_the_next_one(host: Host) -> None:
    before = host.rules(), host.rules("ip6tables")
    assert host.converge(wrong=KILLED)["outcome"] == "interrupted"
    assert any("HARDENER-INPUT" in rule for rule in host.rules("ip6tables"))
    result = host.converge(inbound=False, docker_user=False)
    assert result["recovered"], result
    for old, tool in zip(before, FAMILIES.values(), strict=True):
        assert without_empty(host.rules(tool)) == without_empty(old)


def without_empty(rules: list[str]) -> list[str]:
    """Without tables that were empty, which iptables shows once they were looked at."""
    text = "\n".join(rules)
    for chains in (("PREROUTING", "OUTPUT"), ("INPUT", "FORWARD", "OUTPUT")):
        builtin = "\n".join(f":{chain} ACCEPT" for chain in chains)
        for table in ("raw", "filter"):
            text = re.sub(rf"\*{table}\n{builtin}(?=$|\n\*)", "", text)
    return [line for line in text.splitlines() if line]


def test_disabling_removes_only_chains_of_hardener(host: Host) -> None:
    before = host.rules()
    host.converge()
    assert host.converge(inbound=False)["outcome"] == "changed"
    assert not any("HARDENER-INPUT" in rule for rule in host.rules())
    assert any("HARDENER-DOCKER" in rule for rule in host.rules())
    assert host.converge(inbound=False, docker_user=False)["outcome"] == "changed"
    assert without_empty(host.rules()) == without_empty(before)
    assert not any("HARDENER" in rule for rule in host.rules("ip6tables"))
    assert host.converge(inbound=False, docker_user=False)["outcome"] == "unchanged"
    assert not (host.folder / "usr/local/sbin/hardener-firewall").exists()


@pytest.mark.parametrize(("programs", "role"), [("nft", ""), ("legacy", "firewall")], indirect=["programs"])
def test_a_release_removes_only_chains_of_hardener(host: Host, role: str) -> None:
    before = {tool: without_empty(host.rules(tool)) for tool in FAMILIES.values()}
    assert host.converge()["outcome"] == "changed"
    assert host.converge(allow=[{"port": 443}], published_others="drop")["outcome"] == "changed"
    loaded = {tool: host.rules(tool) for tool in FAMILIES.values()}
    assert not any("DOCKER-USER" in rule for rule in before["ip6tables"])
    assert any("DOCKER-USER" in rule for rule in loaded["ip6tables"])
    assert host.release(role, check=True)["outcome"] == "would_change"
    result = host.release(role, wrong="the door is shut")
    assert (result["outcome"], result["reason"]) == ("rolled_back", "the door is shut")
    assert {tool: host.rules(tool) for tool in FAMILIES.values()} == loaded
    assert host.converge(allow=[{"port": 443}], published_others="drop")["outcome"] == "unchanged"

    result = host.release(role)
    assert (result["outcome"], result["kept"]) == ("changed", []), result
    (left,) = result["left"]
    assert left.startswith("tables of iptables")
    assert {tool: without_empty(host.rules(tool)) for tool in FAMILIES.values()} == before
    assert [path for path in (host.folder / "etc").rglob("*") if path.is_file()] == []
    assert not (host.folder / "usr/local/sbin/hardener-firewall").exists()
    assert host.release(role)["outcome"] == "unchanged"


@BOTH_KINDS
def test_the_boot_loads_the_same_rules_and_loading_twice_adds_none(host: Host) -> None:
    host.converge()
    loaded = host.rules(), host.rules("ip6tables")
    host.loader("load")
    assert (host.rules(), host.rules("ip6tables")) == loaded
    host.loader("unload")
    assert not any(rule.endswith(("-j HARDENER-INPUT", "-j HARDENER-DOCKER")) for rule in host.rules())
    host.loader("load")
    host.loader("load")
    assert host.converge()["outcome"] == "unchanged"
    with_docker_later = [rule for rule in host.rules() if "DOCKER-USER" in rule]
    for tool in FAMILIES.values():
        for table in ("filter", "raw", "nat"):
            host.space.run(tool, "--table", table, "--flush", check=False)
            host.space.run(tool, "--table", table, "--delete-chain", check=False)
    host.loader("load")  # as at boot, before Docker
    assert [rule for rule in host.rules() if rule.startswith("-A DOCKER-USER")] == [
        "-A DOCKER-USER -j HARDENER-DOCKER"
    ]
    assert set(with_docker_later) - set(host.rules()) <= {"-A DOCKER-USER -j RETURN"}


def test_a_host_without_ip6tables_gets_only_ipv4_rules(host: Host) -> None:
    for program in host.programs.glob("ip6tables*"):
        program.unlink()
    documents = host.documents()
    assert "no rules for IPv6 are loaded: there is no ip6tables" in documents[0]["notes"]
    assert host.converge(documents)["outcome"] == "changed"
    assert "-A INPUT -j HARDENER-INPUT" in host.rules()
    assert host.converge()["outcome"] == "unchanged"


def refusals(result: dict[str, Any]) -> dict[str, str]:
    """The documents that the host refused, and why."""
    return {each["name"]: each["reason"] for each in result["documents"] if each["state"] == "refused"}


def test_rules_that_the_host_cannot_load_are_refused_before_any_change(host: Host) -> None:
    documents = host.documents(docker_user=False)
    for resource in documents[0]["resources"]:
        if resource["path"].endswith("inbound.ipv4"):
            resource["content"] = resource["content"].replace("RELATED", "NONSENSE")
    before = host.rules()
    (reason,) = refusals(host.converge(documents)).values()
    assert "this host cannot load the rules: iptables-restore" in reason
    assert host.rules() == before
    assert not (host.folder / "etc/hardener").exists()


def test_rules_must_accept_the_present_ssh_connection(host: Host) -> None:
    here = "10.9.0.2 50000 10.9.0.1 22"
    found = refusals(host.converge(ssh="10.9.0.2 50000 10.9.0.1 2222"))
    assert list(found) == ["firewall_inbound"]
    assert "came to port 2222 of the host, which the rules do not allow" in found["firewall_inbound"]
    found = refusals(host.converge(ssh=here, ssh_sources=["192.0.2.0/24"]))
    assert "comes from 10.9.0.2, which is not in firewall_ssh_sources" in found["firewall_inbound"]
    assert not any("HARDENER-INPUT" in rule for rule in host.rules())
    back = host.converge(ssh=here)  # nobody listens there
    assert back["outcome"] == "rolled_back"
    assert "ssh cannot be reached any more at port 22 of 10.9.0.1" in back["reason"]
    assert not any("HARDENER-INPUT" in rule for rule in host.rules())
    host.space.serve("10.9.0.1", 22)
    assert host.converge(ssh=here, ssh_sources=["10.9.0.0/24"])["outcome"] == "changed"
