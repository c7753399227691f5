"""A host in whatever state is judged whole: the real command, and reports that every reader takes.

One guest; each test puts it into a state and takes it out again, but for the last two, which end its engine.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jsonschema_rs
import pytest
from junitparser import JUnitXml
from lxml import etree

import hardener
from hardener import catalogue, lab
from hardener.errors import ExitCode
from hardener.model import Control
from tests.unit.reports.junit_lint import lint

CONTROLS = catalogue.load(catalogue.DEFAULT_BENCHMARK)
ASSESSMENT = jsonschema_rs.validator_for(
    json.loads((Path(hardener.__file__).parent / "assessment.schema.json").read_bytes())
)
JUNIT = etree.XMLSchema(etree.parse(Path(__file__).parents[1] / "fixtures" / "junit-subset.xsd"))
# A pristine guest never fetched an index of packages.
NO_INDEX = {"docker-version-current", "host-updates-pending"}


@dataclass(frozen=True, slots=True)
class Report:
    """What one audit of the guest said."""

    code: int
    statuses: dict[str, str]
    actual: dict[str, str]
    files: str  # what stands in the reports, as text

    def with_status(self, status: str, section: str = "") -> set[str]:
        """Slugs of the controls that stand so."""
        sections = {control.slug: control.section for control in CONTROLS}
        return {
            slug
            for slug, each in self.statuses.items()
            if each == status and (not section or sections[slug] == section)
        }


Audit = Callable[..., Report]


@pytest.fixture
def audit(guest: lab.Guest, tmp_path: Path) -> Audit:
    """The command as a user runs it; what holds of any report, whatever the host is like, is asserted."""

    def run(*only: str) -> Report:
        junit, native = tmp_path / "junit.xml", tmp_path / "report.json"
        command = [sys.executable, "-m", "hardener", "audit", "-i", str(guest.inventory)]
        command += ["--junit", str(junit), "--json", str(native)]
        for selector in only:
            command += ["--only", selector]
        done = subprocess.run(command, capture_output=True, check=False, timeout=300)
        controls = catalogue.select(CONTROLS, benchmark=catalogue.DEFAULT_BENCHMARK, level=2, only=only)

        assert native.exists(), done.stderr.decode()
        for stream in (done.stdout, done.stderr):
            assert {character for character in stream.decode() if not character.isprintable()} <= {"\n"}
        document = json.loads(native.read_bytes())
        ASSESSMENT.validate(document)
        (host,) = document["hosts"]
        assert host["unreachable"] is None
        statuses = {finding["slug"]: finding["status"] for finding in host["findings"]}
        assert list(statuses) == [control.slug for control in controls]
        assert len(host["findings"]) == len(controls)
        counts = Counter(statuses.values())
        assert done.returncode == expected_code(counts), done.stderr.decode()
        check_junit(junit, controls, counts)
        return Report(
            done.returncode,
            statuses,
            {finding["slug"]: finding["actual"] for finding in host["findings"]},
            junit.read_text() + done.stdout.decode(),
        )

    return run


def expected_code(counts: Counter[str]) -> ExitCode:
    if counts["fail"]:
        return ExitCode.NOT_COMPLIANT
    return ExitCode.INCOMPLETE if counts["error"] else ExitCode.COMPLIANT


def check_junit(path: Path, controls: Collection[Control], counts: Counter[str]) -> None:
    """Valid, read again by somebody else's code, and a case a control under a name that never changes."""
    assert JUNIT.validate(etree.parse(path)), JUNIT.error_log
    assert lint(path) == []
    assert path.stat().st_size < 1_000_000
    (suite,) = JUnitXml.fromfile(str(path))
    names = [f"{control.id_in(catalogue.DEFAULT_BENCHMARK)} {control.title}" for control in controls]
    assert [case.name for case in suite] == names
    skipped = counts["manual"] + counts["not_applicable"]
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (
        len(controls),
        counts["fail"],
        counts["error"],
        skipped,
    )


def shell(guest: lab.Guest, script: str) -> str:
    done = guest.ssh("sh", "-s", stdin=script, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def undone(guest: lab.Guest, script: str) -> Iterator[None]:
    """Run this in the guest afterwards, whatever came of the test."""
    try:
        yield
    finally:
        shell(guest, script)


def test_all_of_the_benchmark_and_our_own_are_judged() -> None:
    assert Counter(control.section == "protection" for control in CONTROLS) == {False: 118, True: 7}


def test_without_containers_nothing_runs_that_could_fail(audit: Audit) -> None:
    report = audit()
    assert report.with_status("error") <= NO_INDEX
    assert report.with_status("fail", "runtime") == set()
    assert report.statuses["ops-container-sprawl"] == "pass"


def test_hostile_text_is_shown_and_never_acts(guest: lab.Guest, audit: Audit) -> None:
    with undone(guest, "docker rm -f hostile stopped; docker rmi -f hostile:1; docker network rm net"):
        guest.ssh("python3", "-", stdin=(Path(__file__).parent / "hostile.py").read_text())
        report = audit()
    assert report.with_status("error") <= NO_INDEX
    for slug in ("image-copy-not-add", "image-no-secrets", "container-no-sensitive-mounts"):
        assert report.statuses[slug] == "fail", slug
        assert r"\x1b[31m" in report.actual[slug], slug
    assert report.files.count(r"\x1b[31m") > 3
    assert "AAAAAAAA" * 1000 not in report.files


def test_a_broken_file_costs_what_only_it_can_tell(guest: lab.Guest, audit: Audit) -> None:
    """First beside an engine that still runs on the old one, then the engine fails on it."""
    repair = """
    rm /etc/docker/daemon.json
    systemctl reset-failed docker.service docker.socket
    systemctl start docker.socket docker.service
    """
    with undone(guest, repair):
        shell(guest, "printf '{\"icc\": false,\\n' > /etc/docker/daemon.json")
        running = audit()
        shell(guest, "systemctl restart docker.service || true")
        deadline = time.monotonic() + 120
        while guest.ssh("systemctl", "is-failed", "docker.service", check=False).stdout != "failed\n":
            assert time.monotonic() < deadline  # systemd tries a few times
            time.sleep(1)
        down = audit()

    unreadable = running.with_status("error") - NO_INDEX
    assert {slug for slug in unreadable if "daemon.json: not JSON" not in running.actual[slug]} == set()
    assert running.with_status("error", "files") == {
        f"file-tls-{name}-{aspect}" for name in ("ca", "cert", "key") for aspect in ("owner", "mode")
    }
    # What the engine itself tells is decided, and says what could not be compared with it.
    assert running.statuses["daemon-icc-disabled"] == "fail"
    assert "daemon.json: not JSON" in running.actual["daemon-icc-disabled"]
    assert running.statuses["file-daemon-json-mode"] == "pass"

    assert down.with_status("error", "files") == running.with_status("error", "files")
    assert down.with_status("error", "host") == {
        "audit-var-lib-docker",
        "host-separate-partition",  # the data root could be anywhere
        "docker-version-current",
    }
    assert down.statuses["daemon-icc-disabled"] == "error"
    # The unit says -H fd://, beside which a file may name no socket: what it would listen on is known.
    assert down.statuses["daemon-tls-verify"] == "not_applicable"
    assert down.statuses["file-daemon-json-mode"] == "pass"


def test_a_stopped_engine_is_judged_by_what_is_left(guest: lab.Guest, audit: Audit) -> None:
    with undone(guest, "systemctl start docker.socket docker.service"):
        shell(guest, "systemctl stop docker.socket docker.service")
        report = audit()
        unanswered = audit("daemon-live-restore")

    assert report.with_status("error", "files") == set()
    # Where images lie in the containerd store is for the engine to say, too.
    assert report.with_status("error", "host") == {"docker-version-current", "host-separate-partition"}
    assert report.statuses["file-docker-service-mode"] == "pass"
    assert report.statuses["audit-dockerd"] == "fail"
    assert report.statuses["host-kernel-settings"] == "fail"
    # Declared where no running engine can say otherwise.
    assert report.statuses["daemon-userland-proxy-disabled"] == "fail"
    # What it would have to answer is not known, and no pass.
    for section in ("runtime", "images", "swarm", "operations"):
        assert report.with_status("pass", section) == set()
        assert report.with_status("error", section)
    assert "Connection refused" in report.actual["container-not-privileged"]
    assert unanswered.code == ExitCode.INCOMPLETE


ROOTLESS = """
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --no-install-recommends rootlesskit uidmap slirp4netns dbus-user-session >/dev/null
systemctl stop docker.socket docker.service
loginctl enable-linger lab
until systemctl is-active --quiet user@1000.service; do sleep 0.5; done
lab() {
    runuser -u lab -- env HOME=/home/lab USER=lab XDG_RUNTIME_DIR=/run/user/1000 \\
        DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus DOCKER_HOST=unix:///run/user/1000/docker.sock \\
        PATH=/usr/share/docker.io/contrib:/usr/sbin:/usr/bin "$@"
}
ln -s /usr/bin/docker /usr/share/docker.io/contrib/docker  # where the script looks for it
lab dockerd-rootless-setuptool.sh install --force >/dev/null
tar -C / -c bin/busybox | lab docker import - busybox:1 >/dev/null
lab docker run -d --stop-signal KILL --name inner busybox:1 /bin/busybox sleep 100000 >/dev/null
"""


def test_a_rootless_engine_is_judged_as_what_it_is(guest: lab.Guest, audit: Audit) -> None:
    with undone(guest, "loginctl disable-linger lab; systemctl stop user@1000.service"):
        shell(guest, ROOTLESS)
        report = audit()

    assert report.with_status("error") == set()
    for slug, status in {
        "daemon-rootless": "pass",
        "daemon-userns-remap": "pass",
        "container-no-host-userns": "pass",
        "container-not-privileged": "pass",
        "image-non-root-user": "pass",
        "container-memory-limit": "fail",
        "container-no-new-privileges": "fail",
        "daemon-iptables-managed": "not_applicable",
        "daemon-userland-proxy-disabled": "not_applicable",
        "docker-group-trusted-users": "not_applicable",
        "file-docker-sock-owner": "not_applicable",
        "file-docker-sock-mode": "pass",  # sticky
        "host-firewall-docker-user": "not_applicable",
    }.items():
        assert report.statuses[slug] == status, f"{slug}: {report.actual[slug]}"
    assert report.actual["daemon-rootless"] == "rootless, uid 1000"
    assert report.actual["host-separate-partition"].startswith("/home/lab/.local/share/docker ")


def test_without_docker_only_the_host_is_left(guest: lab.Guest, audit: Audit) -> None:
    shell(
        guest,
        """
        set -e
        systemctl stop docker.socket docker.service containerd.service
        mkdir /root/away
        mv /usr/sbin/dockerd /usr/sbin/docker-proxy /usr/sbin/runc /root/away
        mv /usr/bin/docker /usr/bin/containerd* /root/away
        mv /usr/lib/systemd/system/docker.* /usr/lib/systemd/system/containerd.service /root/away
        mv /etc/docker /root/away/etc
        umount /var/lib/docker
        rmdir /var/lib/docker
        mv /etc/default/docker /root/away/default
        systemctl daemon-reload
        """,
    )
    report = audit()
    assert report.with_status("error") <= NO_INDEX
    sections = {"daemon", "files", "images", "runtime", "operations", "swarm"}
    engines = {control.slug for control in CONTROLS if control.section in sections}
    assert report.with_status("not_applicable") >= engines
    assert report.statuses["host-kernel-settings"] == "fail"
    assert report.statuses["audit-dockerd"] == "not_applicable"
    assert audit("runtime", "files").code == ExitCode.COMPLIANT
