"""What the terminal shows of an audit of workloads."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pytest

from hardener.terminal.console import console
from hardener.terminal.workload_audit import screen
from hardener.workload.audit import HostAudit, audit
from tests.unit.snapshots import with_containers
from tests.unit.workload.containers import ALL, NARROW, least, running

PRIVILEGED = {"cap_eff": ALL, "cap_prm": ALL, "cap_bnd": ALL, "seccomp": 0, "label": "unconfined"}


def shown(*audits: HostAudit, width: int = 80) -> list[str]:
    stream = io.StringIO()
    for part in screen(audits):
        console(stream, width=width).print(part)
    return [text.rstrip() for text in stream.getvalue().splitlines()]


def handful() -> Sequence[dict[str, Any]]:
    return (
        running("backup", profile=None, proc=PRIVILEGED, HostConfig={"Privileged": True}),
        running("proxy", proc={"host_namespaces": ["net", "user"]}),
        running("web"),
        running("api"),
        least("tight"),
    )


def test_a_few_containers_fit_into_80_columns_and_24_lines() -> None:
    found = shown(audit(with_containers(*handful()), host="db01"))
    assert found == [
        " 5 containers on 1 host: 1 critical, 1 high, 2 medium, 1 low",
        "",
        " risk         container caps seccomp nnp lsm     user host ns fs no limit",
        " critical 318 backup    all  none    no  none    root -       rw any",
        " high      86 proxy     14   default no  default root net     rw any",
        " medium    61 api       14   default no  default root -       rw any",
        " medium    61 web       14   default no  default root -       rw any",
        " low        0 tight     0    74      yes own     1000 -       ro -",
        "",
        " First recommendations",
        " backup: is privileged: every capability and device, nothing of /proc and /sys…",
        "   1. Remove --privileged; add single capabilities and devices instead.",
        "   2. Run it as a user (--user), or remap users in the engine (userns-remap).",
        "   3. Use --security-opt no-new-privileges.",
        " proxy: is in the host's net namespace",
        "   1. Take --network host away.",
        "   2. Use --cap-drop ALL, and --cap-add what `hardener workload record` shows.",
        "   3. Run it as a user (--user), or remap users in the engine (userns-remap).",
        " api, web",
        "   1. Use --cap-drop ALL, and --cap-add what `hardener workload record` shows.",
        "   2. Run it as a user (--user), or remap users in the engine (userns-remap).",
        "   3. Give it a seccomp profile of its own, with the calls that it makes.",
    ]
    assert len(found) < 24


def test_hosts_are_named_if_there_are_several() -> None:
    audits = [audit(with_containers(running("web")), host=host) for host in ("db01", "db02")]
    text = "\n".join(shown(*audits, width=120))
    assert "2 containers on 2 hosts: 2 medium" in text
    assert "db01: web" in text
    assert "db01: web, db02: web" in text  # the same to do


def test_long_lists_are_cut() -> None:
    entry = running("web")
    many = [
        {**entry, "inspect": {**entry["inspect"], "Id": f"{number:064x}", "Name": f"/c{number:04}"}}
        for number in range(2000)
    ]
    found = shown(audit(with_containers(*many)))
    assert len(found) < 40
    assert " and 1985 more: --json has them all" in found
    assert " c0000, c0001, c0002, +1997 more" in found


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\nb", "[bold]x[/]", "\u202egnp", "x" * 500, "\ud800"])
def test_hostile_names_are_escaped(name: str) -> None:
    found = shown(audit(with_containers(running(name)), host=name))
    text = "\n".join(found)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert max(map(len, found)) <= 80
    assert sum(1 for each in found if each.startswith(" medium")) == 1
    if name.startswith("["):
        assert "[bold]x[/]" in text


def test_unknown_properties_are_marked() -> None:
    partly = audit(with_containers(running("web", proc={"no_new_privs": None})), host="db01")
    gone = HostAudit(host="db02", error="unreachable: ssh: connect to host db02 port 22: refused")
    text = "\n".join(shown(partly, gone))
    assert "61+ web" in text  # at least so many points
    assert "Could not be read, and is not counted" in text
    assert "web: no_new_privs: " in text
    assert "Not judged" in text
    assert "db02: unreachable" in text


def test_an_audit_without_running_containers_is_shown() -> None:
    assert shown(audit(with_containers(), host="db01")) == [" 0 containers on 1 host: none is running"]


def test_an_audit_that_could_judge_no_host_says_nothing_about_its_containers() -> None:
    text = shown(HostAudit(host="db01", error="the engine does not answer"))
    assert text[0] == " no host reported its containers"
    assert "none is running" not in "\n".join(text)


@pytest.mark.parametrize(
    ("change", "cells"),
    [
        ({"proc": {"cap_eff": "00000000a82425fb"}}, "14+1"),
        ({"profile": {**NARROW, "calls": None}, "HostConfig": {"SecurityOpt": ["seccomp={}"]}}, "own"),
        ({"profile": None}, "?"),
        ({"proc": {"label": "docker-default (complain)"}}, "logs"),
        (
            {"proc": {"uid": 100000, "uid_map": [[0, 100000, 9]], "processes": [], "host_namespaces": []}},
            "remapped",
        ),
        ({"proc": {"cgroup": {"memory_max": 9, "pids_max": None}}}, "pids,cpu"),
    ],
)
def test_each_privilege_is_shown_in_its_column(change: dict[str, Any], cells: str) -> None:
    (row,) = [text for text in shown(audit(with_containers(running("web", **change)))) if " web " in text]
    assert cells in row.split()
