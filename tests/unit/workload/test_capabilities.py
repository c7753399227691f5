"""Which capabilities a profile keeps, and for what."""

from __future__ import annotations

import json

import pytest

from hardener.errors import HardenerError
from hardener.reports.profile_page import markdown
from hardener.workload import profile_document as document_module
from hardener.workload.artefacts import artefacts
from hardener.workload.page import sections
from hardener.workload.profile import PARTS
from tests.unit.workload.engines import CAPABILITIES
from tests.unit.workload.made import profile, recorded


@pytest.mark.parametrize("name", ["CAP_SETUID", "setuid"])
def test_a_capability_is_dropped_on_request(name: str) -> None:
    used = [
        {"name": each, "call": each[4:].lower(), "program": "nginx", "phases": ["serve"]}
        for each in ("CAP_SETUID", "CAP_SETGID")
    ]
    found = profile(recorded(capabilities=used), drop=[name])
    assert found.capabilities == ("CAP_SETGID",)
    files = artefacts(found)
    assert "--cap-add=SETGID" in files["docker-run.txt"]
    assert "SETUID" not in files["docker-run.txt"] + files["compose.override.yaml"]
    assert json.loads(files["profile.json"])["capabilities"]["dropped_on_request"] == ["CAP_SETUID"]
    page = markdown(sections(found))
    assert (
        "- `CAP_SETUID`: the kernel checked it: `nginx` in `setuid` in serve (1 of 1); dropped, on request"
        in page
    )
    assert "; with --drop CAP_SETUID." in page


def test_a_capability_that_is_not_kept_cannot_be_dropped() -> None:
    message = "cannot leave out CAP_SYS_TIME: the profile does not keep it; it keeps"
    with pytest.raises(HardenerError, match=f"{message} CAP_CHOWN"):
        profile(recorded(), drop=["SYS_TIME"])
    with pytest.raises(HardenerError, match=f"{message} nothing of this kind"):
        profile(recorded(capabilities=[]), drop=["SYS_TIME"])
    with pytest.raises(HardenerError, match="cannot leave out writable root: the profile does not keep it"):
        profile(recorded(), drop=["writable root"])


def test_a_writable_root_and_gained_privileges_are_left_out_on_request() -> None:
    data = recorded(files__created=["/etc/x"], setuid=[{"path": "/bin/su", "uid": 0, "gid": None}])
    kept, found = profile(data), profile(data, drop=PARTS)
    assert not kept.read_only
    assert not kept.no_new_privileges
    files = artefacts(found)
    assert "--read-only\n" in files["docker-run.txt"]
    assert "no-new-privileges=true\n" in files["docker-run.txt"]
    page = markdown(sections(found))
    assert "; read-only on request" in page
    assert "no-new-privileges is set on request: these programs gain no privileges." in page
    assert "; with --drop 'gaining privileges'; with --drop 'writable root'." in page
    documents = [document_module.document(each) for each in (kept, found)]
    assert [each.dropped for each in documents] == [frozenset(), frozenset(PARTS)]


@pytest.mark.parametrize(
    ("asked", "needed"),
    [
        (sorted(CAPABILITIES), set()),  # setpriv: what it has
        (["CAP_CHOWN", "CAP_SETUID"], {"CAP_CHOWN", "CAP_SETUID"}),  # dnsmasq: what it wants to keep
        ([*sorted(CAPABILITIES), "CAP_SYS_ADMIN"], set()),
        ([], set()),
    ],
)
def test_a_program_needs_the_capabilities_that_it_chooses_among_its_own(
    asked: list[str], needed: set[str]
) -> None:
    use = {"program": "x", "effective": asked, "permitted": asked, "inheritable": []}
    assert set(profile(recorded(capabilities=[], capset=[use])).capabilities) == needed


def test_capabilities_are_kept_with_their_reasons() -> None:
    found = profile(
        recorded(
            capabilities=[
                {"name": "CAP_SETUID", "call": "setuid", "program": "nginx", "phases": ["start-empty"]},
                {"name": "CAP_SYS_TIME", "call": "settimeofday", "program": "x", "phases": []},
            ],
            file_capabilities=[
                {"path": "/bin/ping", "program": "ping", "capabilities": ["CAP_NET_RAW"], "effective": True}
            ],
            capset=[
                {
                    "program": "dnsmasq",
                    "effective": ["CAP_NET_BIND_SERVICE"],
                    "permitted": ["CAP_NET_BIND_SERVICE", "CAP_NET_ADMIN"],
                    "inheritable": [],
                }
            ],
        )
    )
    # Neither SYS_TIME nor NET_ADMIN was ever given to it.
    assert found.capabilities == ("CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETUID")
    assert [(need.capability, need.kind, need.program) for need in found.needs] == [
        ("CAP_NET_BIND_SERVICE", "capset", "dnsmasq"),
        ("CAP_NET_RAW", "file", "/bin/ping"),
        ("CAP_SETUID", "check", "nginx"),
    ]
    assert not found.no_new_privileges
    assert [(each.path, each.kind) for each in found.hurdles] == [("/bin/ping", "file capabilities")]


@pytest.mark.parametrize(
    ("added", "dropped", "privileged", "expected"),
    [
        ([], [], False, CAPABILITIES),
        (["net_admin"], ["CAP_CHOWN"], False, CAPABILITIES - {"CAP_CHOWN"} | {"CAP_NET_ADMIN"}),
        (["CHOWN"], ["ALL"], False, {"CAP_CHOWN"}),
        ([], ["all"], False, set()),
        ([], [], True, set()),
    ],
)
def test_capabilities_are_derived_from_the_configuration_if_none_were_observed(
    added: list[str], dropped: list[str], privileged: bool, expected: set[str]
) -> None:
    data = recorded(identities=[], container__capabilities_added=added)
    data["container"] |= {"capabilities_dropped": dropped, "privileged": privileged}
    assert len(profile(data).had) == 41 if privileged else profile(data).had == expected
