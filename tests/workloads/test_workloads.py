"""Real programs, from their containers to proven profiles: each works with less, and no attack gains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.workloads import catalogue
from bench.workloads.catalogue import Workload
from bench.workloads.running import Proven, container, prove
from hardener.workload.profile_document import Document
from hardener.workload.starts import STARTS
from tests.integration.dockerd import Dockerd
from tests.integration.twinning import names, programs
from tests.integration.waiting import until

pytestmark = pytest.mark.independent

# What each keeps: more would be a step back, less cannot be without the proof failing.
KEPT: dict[str, set[str]] = {
    "nginx": {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_SETGID", "CAP_SETUID"},
    "redis": set(),
    "postgres": {"CAP_CHOWN", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID"},
    "python": set(),
    "go": set(),
    "file-capability": {"CAP_NET_BIND_SERVICE"},
    "i386": set(),
    "dnsmasq": {"CAP_CHOWN", "CAP_SETGID", "CAP_SETUID"},
    "gosu": {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_SETGID", "CAP_SETUID"},
    "shop web": {"CAP_CHOWN", "CAP_SETGID", "CAP_SETUID"},
    "shop app": set(),
    "shop worker": set(),
    "shop queue": set(),
}
USERS = {"redis"}  # run as another user: root needs its capability only for files of this user
# With which nginx starts a worker; and it waits for the new ones at a reload alone.
WORKER_CALLS = {"clone", "setgid", "setgroups", "setuid", "socketpair"}
RELOAD_CALL = "clock_nanosleep"
FEW_CALLS = {"nginx": 160, "redis": 150}
OPERATED = {"nginx", "dnsmasq"}  # operations that their exercises do not contain are tried too
REFUSED = frozenset({"ptrace", "memfd-execveat", "raw-socket", "mknod", "write-usr"})  # in every container


@pytest.mark.parametrize("workload", catalogue.ALL, ids=lambda each: each.name)
def test_a_workload_is_proven_safe_with_fewer_privileges(
    prepared: Dockerd, built: Mapping[str, bytes], workload: Workload, tmp_path: Path
) -> None:
    attached = programs("on_call", "on_return")
    with container(prepared, workload, built) as started:
        before = names(prepared)
        found = prove(prepared, workload, started, tmp_path, operate=workload.name in OPERATED)
        assert names(prepared) == before
        # Another worker may be recording: what it has attached goes, too.
        left = programs("on_call", "on_return") - attached
        assert until(lambda: not left & programs("on_call", "on_return"), seconds=600)
    for each in found:
        _check(each)
        assert each.works >= each.worked, f"{each.name}: {each.worked - each.works} no longer work"
        assert bool(each.worked) is (each.name in OPERATED)
        if each.name == "nginx":
            _check_reload(each.document)


def _check(proven: Proven) -> None:
    document, proof = proven.document, proven.proof
    assert proof is not None
    assert proof.verdict == "safe", (proven.name, proof.reasons)
    trial = next(each.observation for each in proof.trials if each.kind == "profile")
    assert trial is not None
    assert (trial.starts, trial.failed) == (STARTS, 0)
    assert document.seccomp is not None
    assert len(document.seccomp.calls) < document.seccomp.default_calls / 2
    assert len(document.seccomp.calls) <= FEW_CALLS.get(proven.name, document.seccomp.default_calls)
    kept = set(document.capabilities.kept)
    assert kept <= set(document.capabilities.had)
    assert kept == KEPT[proven.name]
    assert (document.user is not None) == (proven.name in USERS)
    assert document.root.read_only
    assert document.privileges.no_new_privileges == (proven.name != "file-capability")
    assert proven.after <= proven.before, f"{proven.name}: {proven.after - proven.before} became possible"
    assert not proven.after & REFUSED, proven.name


def _check_reload(document: Document) -> None:
    (phase,) = (each for each in document.phases if each.name == "reload")
    assert phase.seen_in == 1, phase.reasons
    assert document.seccomp is not None
    reasons = document.seccomp.calls.items()
    phases = {name: why.container.phases for name, why in reasons if why.container}
    assert {name for name in WORKER_CALLS if "reload" in phases[name]} == WORKER_CALLS
    assert phases[RELOAD_CALL] == ("reload",)
