"""What every control does without Docker, and with an engine that does not answer."""

from __future__ import annotations

import pytest

from hardener.checks import all_checks
from hardener.checks.lib.verdicts import NO_ENGINE
from hardener.model import Status
from hardener.snapshot import FactUnavailable
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import no_engine, silent_engine

CONTROLS = sorted(all_checks())

# They judge the host itself, with an engine or without.
OF_THE_HOST = {
    "host-firewall-input-ipv4": Status.FAIL,
    "host-firewall-input-ipv6": Status.FAIL,
    "host-hardened": Status.MANUAL,
    "host-kernel-settings": Status.FAIL,
    "host-lsm-enforcing": Status.PASS,
    "host-updates-automatic": Status.FAIL,
    "host-updates-pending": Status.PASS,
}

# What is judged without an answer of the engine; every other control is an error then.
WITHOUT_AN_ANSWER = {
    **OF_THE_HOST,
    # Rules of the audit subsystem and files are the host's; where the API's files would be is declared.
    **{slug: Status.FAIL for slug in CONTROLS if slug.startswith("audit-")},
    **{slug: Status.PASS for slug in CONTROLS if slug.startswith("file-")},
    # These files are not on the recorded host.
    **{
        slug: Status.NOT_APPLICABLE
        for slug in CONTROLS
        if slug.startswith(("file-registry-cert-", "file-tls-", "file-etc-sysconfig-", "file-daemon-json-"))
    },
    "audit-daemon-json": Status.NOT_APPLICABLE,
    "audit-etc-sysconfig-docker": Status.NOT_APPLICABLE,
    # Declared in daemon.json or on the command line, and nowhere else.
    "daemon-cgroup-parent-default": Status.PASS,
    "daemon-default-ulimits": Status.FAIL,
    "daemon-userland-proxy-disabled": Status.FAIL,  # on by default; test_daemon declares it off
    "host-separate-partition": Status.FAIL,  # the data root is declared
    "host-carries-docker": Status.PASS,
    # The sockets, the group and the client's environment are the host's.
    "daemon-tls-verify": Status.NOT_APPLICABLE,  # no TCP socket
    "docker-group-trusted-users": Status.PASS,
    "image-content-trust": Status.FAIL,
}
# The engine says whether it uses the module, and which folders it reads and has.
for _slug in ("host-lsm-enforcing", "file-cdi-specs", "file-engine-own"):
    del WITHOUT_AN_ANSWER[_slug]


@pytest.mark.parametrize("slug", CONTROLS)
def test_without_docker_only_controls_of_the_host_are_applicable(judge: Judge, slug: str) -> None:
    verdict = judge(slug, no_engine())
    assert verdict.status is OF_THE_HOST.get(slug, Status.NOT_APPLICABLE)
    assert (verdict.actual == NO_ENGINE) is (slug not in OF_THE_HOST)


@pytest.mark.parametrize("slug", CONTROLS)
def test_without_an_answer_of_the_engine_all_but_the_listed_controls_are_errors(
    judge: Judge, slug: str
) -> None:
    if slug in WITHOUT_AN_ANSWER:
        verdict = judge(slug, silent_engine())
        assert verdict.status is WITHOUT_AN_ANSWER[slug]
        names_what_breaks_it = verdict.status is Status.FAIL and slug != "image-content-trust"  # unset
        assert bool(verdict.offenders) is names_what_breaks_it
    else:
        with pytest.raises(FactUnavailable, match="connection refused"):
            judge(slug, silent_engine())


def test_every_listed_exception_names_a_control() -> None:
    assert WITHOUT_AN_ANSWER.keys() | OF_THE_HOST.keys() <= set(CONTROLS)
