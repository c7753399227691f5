"""From 0.1.0 to here: a host that 0.1.0 has hardened is audited, repaired, hardened again, and given back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from tests.hosts.command import hardener
from tests.hosts.fixtures import Boot
from tests.hosts.former import Former, former_document
from tests.hosts.guard import SHORT, STATE, TIMEOUT, UNCONFIRMED, engine, once, play, record, settled
from tests.hosts.play import Run, kill
from tests.hosts.reboot import reboot
from tests.hosts.workload import CONTAINERS, running, shell, with_containers
from tests.system.hardening import EVERYTHING, PREPARED, ROLES, VARIABLES

# By path and content, all that has hardener's name or lies below such a name; and what systemd and the kernel
# have of it. Backups, records, caches and temporary folders differ between any two hosts.
OWN = r"""
find / -xdev \( -name '*hardener*' -o -path '*/hardener/*' \) -not -type d \
  -not -path '/proc/*' -not -path '/var/lib/*' -not -path '/var/cache/*' -not -path '*/tmp/*' \
  -not -name __pycache__ -exec sha256sum {} + | sort -k2
systemctl list-unit-files --no-legend 'hardener*'
systemctl list-units --all --plain --no-legend 'hardener*' | awk '{print $1}'
iptables-save | grep -e HARDENER -e DOCKER-USER | sed 's/ \[.*//' | sort
ip6tables-save | grep -e HARDENER -e DOCKER-USER | sed 's/ \[.*//' | sort
"""
# 0.1.0 finds br_netfilter in the kernel by this file alone.
BUILT_IN = """
mkdir -p /lib/modules/$(uname -r)
echo kernel/br_netfilter.ko >>/lib/modules/$(uname -r)/modules.builtin
"""
CHAIN = "iptables --wait --flush HARDENER-INPUT"


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Former:
    """Version 0.1.0."""
    return Former(tmp_path_factory.mktemp("former"))


def prepared(started: lab.Guest) -> lab.Guest:
    """A host with all that the roles would install, whose engine runs two containers."""
    started.ssh("sh", "-c", PREPARED + BUILT_IN)
    return with_containers(started)


@pytest.fixture(scope="module")
def host(guest: lab.Guest) -> lab.Guest:
    """A host that 0.1.0 may harden; each test goes on where the one before it has ended."""
    return prepared(guest)


@pytest.fixture(scope="module")
def before(host: lab.Guest) -> str:
    """What the host is where nothing of hardener is on it, once its guard has been tried."""
    shell(host, "rm -rf /var/lib/hardener")
    return shell(host, EVERYTHING)


def harden(former: Former, host: lab.Guest, folder: Path) -> None:
    """Harden a host as 0.1.0 does."""
    done = Run(host, folder, ROLES, edition=former.edition, **VARIABLES).result()
    assert done["outcome"] == "changed", done


@pytest.mark.parametrize("what", ["timer", "boot"])
def test_a_guard_of_0_1_0_rolls_its_run_back(
    host: lab.Guest, former: Former, tmp_path: Path, what: str
) -> None:
    state, containers = shell(host, STATE), running(shell(host, CONTAINERS))
    timeout = SHORT if what == "timer" else TIMEOUT * 10
    changed = former_document(engine(**{"default-shm-size": "71M"}))
    variables: dict[str, Any] = {"converge_allow": "connectivity", "converge_confirm_timeout": timeout}
    process = Run(host, tmp_path, documents=[changed], edition=former.edition, **variables).start()
    host.ssh("sh", "-c", once(UNCONFIRMED))
    kill(process)
    second = play(host, tmp_path, engine(**{"default-shm-size": "1M"})).result()
    assert second["outcome"] == "refused", second
    assert "waits to be confirmed" in second["reason"]
    if what == "boot":
        reboot(host)
        host.ssh("docker", "start", "web", "job")
    settled(host)
    assert shell(host, STATE) == state
    assert record(host)["outcome"] == "rolled_back"
    if what == "timer":
        assert running(shell(host, CONTAINERS)) == containers
        audit = hardener("audit", host.inventory, "--exit-zero")
        assert f"rolled back: not confirmed within {SHORT} s" in audit.stdout


def test_runs_of_0_1_0_are_audited_and_rolled_back(
    host: lab.Guest, before: str, former: Former, tmp_path: Path
) -> None:
    harden(former, host, tmp_path)
    reports = {}
    for name, audit in (("former", former.hardener), ("present", hardener)):
        reports[name] = tmp_path / f"{name}.json"
        done = audit("audit", host.inventory, "--json", str(reports[name]))
        assert done.returncode == 3, done.stderr
    was, now = (_statuses(reports[name]) for name in ("former", "present"))
    assert {
        slug for slug in was if was[slug] == "pass" and now[slug] not in ("pass", "not-applicable")
    } == set()
    assert "error" not in now.values()

    listed = hardener("rollback", host.inventory, "--list")
    assert len([line for line in listed.stdout.splitlines() if "  changed  " in line]) == 1, listed
    back = hardener("rollback", host.inventory)
    assert back.returncode == 0, back.stderr
    settled(host)
    _same(before, shell(host, EVERYTHING), without="/var/lib/hardener")


def test_schedules_of_0_1_0_run_and_drift_is_repaired(
    host: lab.Guest, former: Former, tmp_path: Path
) -> None:
    harden(former, host, tmp_path)
    inventory = tmp_path / "hosts.yml"
    inventory.write_bytes(host.inventory.read_bytes())
    assert (
        shell(host, "systemctl is-active hardener-scan.timer hardener-verify-images.timer") == "active\n" * 2
    )
    # Images that are not trusted are 3, as for `hardener images verify`.
    for unit, codes in (("scan", ("0",)), ("verify-images", ("0", "3"))):
        shell(host, f"systemctl start hardener-{unit}.service")
        code = shell(
            host, f"systemctl show --value --property=ExecMainStatus hardener-{unit}.service"
        ).strip()
        assert code in codes, shell(host, f"journalctl --unit=hardener-{unit}.service")
    assert former.hardener("audit", inventory).returncode == 3
    # Controls that 0.1.0 judges otherwise are no drift.
    still = hardener("drift", inventory)
    assert still.returncode == 0, still.stdout
    assert "recorded by hardener 0.1.0" in " ".join(still.stdout.split())
    assert hardener("audit", inventory).returncode == 3
    host.ssh("sh", "-c", CHAIN)
    weaker = hardener("drift", inventory)
    assert weaker.returncode == 6, weaker.stdout
    repaired = hardener("drift", inventory, "--remediate", "--allow", "connectivity")
    assert repaired.returncode == 7, repaired.stdout + repaired.stderr


def test_hardening_after_0_1_0_gives_the_same_host_as_a_first_hardening(
    host: lab.Guest, boot: Boot, tmp_path: Path
) -> None:
    """No file, unit or chain of 0.1.0 is left that this version does not have too."""
    containers = running(shell(host, CONTAINERS))
    fresh = prepared(boot("13"))
    for each in (host, fresh):
        done = Run(each, tmp_path, ROLES, **VARIABLES).result()
        assert done["outcome"] == "changed", done
        again = Run(each, tmp_path, ROLES, **VARIABLES).result()
        assert (again["outcome"], again["changed"]) == ("unchanged", False), again
    _same(shell(fresh, OWN), shell(host, OWN))
    assert running(shell(host, CONTAINERS)) == containers


def test_a_release_restores_the_state_before_0_1_0(host: lab.Guest, before: str) -> None:
    containers = running(shell(host, CONTAINERS))
    released = hardener("release", host.inventory)
    assert released.returncode == 0, released.stderr
    _same(before, shell(host, EVERYTHING))
    assert running(shell(host, CONTAINERS)) == containers


def _statuses(report: Path) -> dict[str, str]:
    (found,) = json.loads(report.read_text())["hosts"]
    return {finding["slug"]: finding["status"] for finding in found["findings"]}


def _same(expected: str, found: str, *, without: str = "///") -> None:
    """Compare what is there line by line."""
    different = sorted(set(expected.splitlines()) ^ set(found.splitlines()))
    assert [line for line in different if without not in line] == [], "\n".join(different)
