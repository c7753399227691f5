"""From a former version: a host that it has hardened is audited, repaired, hardened again and released."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hardener import lab
from tests.hosts.command import hardener
from tests.hosts.fixtures import Boot
from tests.hosts.former import Former
from tests.hosts.guard import SHORT, STATE, TIMEOUT, UNCONFIRMED, engine, once, play, record, settled
from tests.hosts.play import Run, kill
from tests.hosts.reboot import reboot
from tests.hosts.workload import CONTAINERS, DAEMON_JSON, running, shell, with_containers
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
    return Former("0.1.0", tmp_path_factory.mktemp("0.1.0"))


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Former:
    """Version 0.2.0."""
    return Former("0.2.0", tmp_path_factory.mktemp("0.2.0"))


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
    changed = former.document(engine(**{"default-shm-size": "71M"}))
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
    # Images that are not trusted are 3, as for `hardener scan verify`.
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


def test_a_host_can_be_changed_by_0_2_0_and_by_this_version_in_turn(
    boot: Boot, second: Former, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The history, plans, runs, guards and values of the inventory stay valid in both directions."""
    monkeypatch.setenv("HARDENER_HOME", str(tmp_path / "home"))
    host = with_containers(boot("13"))
    before = shell(host, EVERYTHING)
    inventory, plan = tmp_path / "hosts.yml", tmp_path / "plan.json"
    inventory.write_bytes(host.inventory.read_bytes())

    def run(version: Former | None, verb: str, *options: str, code: int) -> str:
        done = (version.hardener if version else hardener)(verb, inventory, *options)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def size() -> object:
        return json.loads(shell(host, f"cat {DAEMON_JSON}")).get("log-opts", {}).get("max-size")

    daemon, role = ((f"--only={each}", "--allow=connectivity") for each in ("daemon", "docker_daemon"))
    run(second, "plan", *daemon, f"--json={plan}", code=3)
    refused = run(None, "harden", "--only=daemon", f"--plan={plan}", code=9)
    assert "hardener has changed since the plan was made" in refused
    run(second, "harden", *daemon, code=3)
    assert run(None, "runs list", code=0).count(f" {inventory}") == 4  # each run before and after
    run(None, "drift", "--against=latest", code=0)

    variables = tmp_path / "group_vars"
    variables.mkdir()
    (variables / "all.yml").write_text("docker_daemon_log_opts: {max-size: 33m}\n")
    run(None, "harden", *role, code=3)
    assert size() == "33m"
    run(None, "audit", "--only=daemon", code=3)  # 0.2.0 knows no roles without controls of their name
    run(second, "drift", "--against=latest", code=0)
    run(second, "harden", *daemon, code=3)
    assert size() == "33m"
    shell(host, f"sed -i s/33m/77m/ {DAEMON_JSON}")
    assert "drifted from the inventory: docker_daemon_log_opts" in run(
        None, "drift", "--against=latest", code=6
    )
    run(None, "drift", "--against=latest", "--remediate", "--allow=connectivity", code=7)
    run(second, "rollback", code=0)
    assert size() == "77m"
    run(None, "harden", *role, code=3)
    assert size() == "33m"

    changed = engine(**{"default-shm-size": "71M"})
    terms: dict[str, Any] = {"converge_allow": "connectivity", "converge_confirm_timeout": SHORT}
    state = shell(host, STATE)
    process = Run(host, tmp_path, documents=[changed], edition=second.edition, **terms).start()
    host.ssh("sh", "-c", once(UNCONFIRMED))
    kill(process)
    run(None, "harden", *daemon, code=9)
    settled(host)
    assert shell(host, STATE) == state

    run(None, "release", code=0)
    _same(before, shell(host, EVERYTHING))


def _statuses(report: Path) -> dict[str, str]:
    (found,) = json.loads(report.read_text())["hosts"]
    return {finding["slug"]: finding["status"] for finding in found["findings"]}


def _same(expected: str, found: str, *, without: str = "///") -> None:
    """Compare what is there line by line."""
    different = sorted(set(expected.splitlines()) ^ set(found.splitlines()))
    assert [line for line in different if without not in line] == [], "\n".join(different)
