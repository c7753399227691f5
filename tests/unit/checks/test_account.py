"""No control without proof: the tests that ran before this one have seen each fail and pass."""

from __future__ import annotations

from hardener.checks import all_checks
from hardener.model import Status
from tests.unit.checks.judging import PROVEN

_BOTH = {Status.PASS, Status.FAIL}

# What the facts of a host can't decide is for a person, and these must never claim more than this.
FOR_A_PERSON: dict[str, set[Status]] = {
    "daemon-rootless": {Status.PASS},  # rooted is a decision, not a fault
    "exec-not-privileged": set(),  # no engine keeps a record of past execs
    "exec-not-root-user": set(),
    "image-latest-pulled": {Status.FAIL},  # the registry knows; a tag that moved on shows here
    "image-minimal-packages": set(),
    "image-no-setuid": set(),
    "image-signed-artifacts-validated": _BOTH,  # what the last verification did not see
    "image-verified-packages": {Status.FAIL},  # a history shows what was switched off, not what was verified
    "swarm-autolock-rotated": set(),
    "swarm-ca-rotated": set(),
}


def test_every_control_has_given_each_of_its_possible_verdicts() -> None:
    wrong = {
        slug: sorted(PROVEN[slug])
        for slug in all_checks()
        if PROVEN[slug] & _BOTH != FOR_A_PERSON.get(slug, _BOTH)
        or (slug in FOR_A_PERSON and Status.MANUAL not in PROVEN[slug])
    }
    assert not wrong
