"""The role, the command and the audit together, on this machine with its configuration overlaid."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from hardener.checks import all_checks
from hardener.model import Status
from hardener.snapshot import Snapshot
from tests.integration.collecting import COLLECTOR
from tests.integration.overlays import Overlaid
from tests.integration.supply import Supply
from tests.unit.plugins.loading import COLLECTIONS
from tests.unit.plugins.module_utils.render.rendering import documents_of
from tests.unit.snapshots import make

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
RECORD = "/var/lib/hardener/trust/record.json"
PLAYBOOK = """
- hosts: all
  gather_facts: false
  roles: [role: hardener.docker.content_trust]
"""

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def machine(supply: Supply) -> Iterator[Overlaid]:
    """The machine, whose engine is ours and whose certificates say that it trusts our registry."""
    with Overlaid() as found:
        folder = f"/etc/docker/certs.d/{supply.registry.name}"
        assert found.run("mkdir", "-p", folder).returncode == 0
        assert found.run("cp", str(supply.authority.certificate), folder).returncode == 0
        assert found.run("ln", "-sf", str(supply.engine.socket), "/run/docker.sock").returncode == 0
        yield found


@pytest.fixture
def inventory(supply: Supply, tmp_path: Path) -> Path:
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "/usr/bin/python3",
        "collect_socket": str(supply.engine.socket),
        "content_trust_policy": supply.policy(),
    }
    path = tmp_path / "inventory.yml"
    path.write_text(json.dumps({"all": {"hosts": {"here": variables}}}))
    return path


@pytest.fixture
def role(machine: Overlaid, inventory: Path, tmp_path: Path) -> Run:
    """Run the role."""
    playbook = tmp_path / "role.yml"
    playbook.write_text(PLAYBOOK)

    def run(*options: str) -> CompletedProcess[str]:
        return machine.run(
            str(BIN / "ansible-playbook"),
            *("-i", str(inventory), str(playbook), *options),
            ANSIBLE_COLLECTIONS_PATH=str(COLLECTIONS),
            ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"),
            ANSIBLE_NOCOLOR="1",
        )

    return run


@pytest.mark.slow
def test_the_role_installs_the_verifier_and_a_second_run_changes_nothing(
    supply: Supply, machine: Overlaid, role: Run
) -> None:
    supply.push("good:1", signed_by=supply.keys)
    supply.push("bad:1")
    supply.forget()
    predicted = role("--check", "--diff")
    assert predicted.returncode == 0, predicted.stdout
    assert "+DOCKER_CONTENT_TRUST=1" in predicted.stdout
    assert not Path("/usr/local/sbin/hardener-pull").exists()
    first = role()
    assert first.returncode == 0, first.stdout
    assert "changed=1" in first.stdout
    again = role()
    assert "changed=0" in again.stdout, again.stdout

    assert "DOCKER_CONTENT_TRUST=1" in machine.run("bash", "-lc", "env").stdout
    pulled = machine.run("hardener-pull", supply.name("good:1"))
    assert (pulled.returncode, "verified (signed)" in pulled.stdout) == (0, True), pulled.stderr
    refused = machine.run("hardener-pull", supply.name("bad:1"))
    assert refused.returncode == 3
    assert refused.stderr.startswith(f"hardener-pull: refused: {supply.name('bad:1')}: unsigned")
    assert machine.run("hardener-pull").returncode == 2
    assert machine.run("hardener-pull", "--help").returncode == 0

    assert machine.run("hardener-verify-images").returncode == 3  # the base image was built here
    assert machine.run("stat", "-c", "%a %U", RECORD).stdout == "600 root\n"
    supply.registry.stop()
    try:
        assert machine.run("hardener-pull", supply.name("good:1")).returncode == 4
    finally:
        supply.registry.start()


def test_systemd_accepts_the_units_and_rates_the_service_ok(tmp_path: Path) -> None:
    documents = documents_of("content_trust")
    policy = {"registries": [{"prefix": "r.example.com", "nothing": True}]}
    (verify, _) = documents(make().raw, policy=policy, verify=True, schedule="daily", client=False, server="")
    units = [Path(each["path"]) for each in verify["resources"] if "/systemd/" in each["path"]]
    for each in verify["resources"]:
        if Path(each["path"]) in units:
            # the program is not installed here
            text = each["content"].replace("/usr/local/sbin/hardener-verify-images", "/bin/true")
            (tmp_path / Path(each["path"]).name).write_text(text)
    paths = [str(tmp_path / unit.name) for unit in units]
    done = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "hardener" in line]) == (0, [])
    security = ["systemd-analyze", "security", "--offline=yes", "--no-pager", paths[0]]
    said = subprocess.run(security, capture_output=True, text=True, check=False).stdout
    exposure = re.search(r"exposure level for .*: ([0-9.]+)", said)
    assert exposure
    assert float(exposure[1]) < 3


def test_the_next_audit_judges_the_result_of_the_verification(
    supply: Supply, machine: Overlaid, inventory: Path, tmp_path: Path
) -> None:
    supply.push("good:1", signed_by=supply.keys)
    supply.push("bad:1")
    (tmp_path / "cosign.pub").write_text(supply.keys.public_key)
    (tmp_path / "trust.yml").write_text(
        f"registries:\n  - prefix: {supply.registry.name}\n    keys: [cosign.pub]\n"
    )
    report = tmp_path / "images.json"
    verb = [sys.executable, "-m", "hardener", "scan", "verify", "-i", str(inventory), "--json", str(report)]
    said = machine.run(*verb, NO_COLOR="1")
    assert said.returncode == 3, said.stderr
    assert "unsigned" in said.stdout
    (host,) = json.loads(report.read_text())["hosts"]
    assert {image["status"] for image in host["images"]} == {"verified", "unsigned", "no-registry-digest"}

    printed = machine.run(*COLLECTOR, f"--socket={supply.engine.socket}").stdout
    snapshot = Snapshot(json.loads(printed))
    signed = all_checks()["image-signed-artifacts-validated"](snapshot)
    assert signed.status is Status.FAIL
    assert {offender.name: offender.detail for offender in signed.offenders} == {
        supply.name("bad:1"): "is unsigned: the registry has no signature of the image",
        "busybox:test": "is no-registry-digest: the image was built or loaded on this host",
    }
    origin = all_checks()["image-trusted-base"](snapshot)
    assert {offender.name for offender in origin.offenders} == {"busybox:test"}

    supply.registry.stop()
    try:
        assert (
            machine.run(*verb, NO_COLOR="1").returncode == 3
        )  # what was built here is none the better for it
        (host,) = json.loads(report.read_text())["hosts"]
        assert {image["status"] for image in host["images"]} == {"unreachable", "no-registry-digest"}
    finally:
        supply.registry.start()
