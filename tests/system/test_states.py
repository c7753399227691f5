"""A host in whatever state is judged whole: the real command, and reports that every reader takes.

One guest; each test puts it into a state and takes it out again, but for the last, which removes its engine.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hardener import catalogue, lab
from hardener.errors import ExitCode
from tests.hosts import hostile
from tests.hosts.audit import CONTROLS, Audit, audit

__all__ = ["audit"]

# An index of packages that is too old decides nothing.
NO_INDEX = {"docker-version-current", "host-updates-pending"}


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


def test_the_tests_cover_every_control_of_the_catalogue() -> None:
    own = sum(control.section == "protection" for control in catalogue.every_control())
    assert Counter(control.section == "protection" for control in CONTROLS) == {False: 118, True: own}


def test_controls_of_containers_do_not_fail_without_containers(audit: Audit) -> None:
    report = audit()
    assert report.with_status("error") <= NO_INDEX
    assert report.with_status("fail", "runtime") == set()
    assert report.statuses["ops-container-sprawl"] == "pass"


def test_hostile_text_is_shown_escaped(guest: lab.Guest, audit: Audit) -> None:
    with undone(guest, "docker rm -f hostile stopped; docker rmi -f hostile:1; docker network rm net"):
        guest.ssh("python3", "-", stdin=Path(hostile.__file__).read_text())
        report = audit()
    assert report.with_status("error") <= NO_INDEX
    for slug in ("image-copy-not-add", "image-no-secrets", "container-no-sensitive-mounts"):
        assert report.statuses[slug] == "fail", slug
        assert r"\x1b[31m" in report.actual[slug], slug
    assert report.files.count(r"\x1b[31m") > 3
    assert "AAAAAAAA" * 1000 not in report.files


def test_a_broken_file_affects_only_the_controls_that_need_it(guest: lab.Guest, audit: Audit) -> None:
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
        "file-docker-sock-owner",  # the file may name another group
        *(f"file-tls-{name}-{aspect}" for name in ("ca", "cert", "key") for aspect in ("owner", "mode")),
    }
    # What the engine itself tells is decided, and says what could not be compared with it.
    assert running.statuses["daemon-icc-disabled"] == "fail"
    assert "daemon.json: not JSON" in running.actual["daemon-icc-disabled"]
    assert running.statuses["file-daemon-json-mode"] == "pass"

    assert down.with_status("error", "files") == running.with_status("error", "files")
    assert down.with_status("error", "host") == {
        "audit-bin-runc",  # the file could name another runtime
        "audit-var-lib-docker",
        "host-separate-partition",  # the data root could be anywhere
        "docker-version-current",
    }
    assert down.statuses["daemon-icc-disabled"] == "error"
    # The unit says -H fd://, beside which a file may name no socket: what it would listen on is known.
    assert down.statuses["daemon-tls-verify"] == "not_applicable"
    assert down.statuses["file-daemon-json-mode"] == "pass"


def test_controls_of_files_are_judged_even_if_the_engine_is_stopped(guest: lab.Guest, audit: Audit) -> None:
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


def test_only_controls_of_the_host_are_judged_without_docker(guest: lab.Guest, audit: Audit) -> None:
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
