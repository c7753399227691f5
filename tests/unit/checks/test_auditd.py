from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from hardener.model import Status, Verdict
from hardener.snapshot import FactUnavailable, Snapshot
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import GONE, absent, failed, make, only

RULES = {
    "audit-dockerd": "-w /usr/sbin/dockerd -p wxa -k docker",
    "audit-run-containerd": "-w /run/containerd -p wa -k docker",
    "audit-var-lib-docker": "-w /var/lib/docker -p wa -k docker",
    "audit-etc-docker": "-w /etc/docker -p wa -k docker",
    "audit-docker-service": "-w /usr/lib/systemd/system/docker.service -p wa -k docker",
    "audit-containerd-sock": "-w /run/containerd/containerd.sock -p wa -k docker",
    "audit-docker-socket": "-w /run/docker.sock -p wa -k docker",
    "audit-etc-default-docker": "-w /etc/default/docker -p wa -k docker",
    "audit-daemon-json": "-w /etc/docker/daemon.json -p wa -k docker",
    "audit-containerd-config": "-w /etc/containerd/config.toml -p wa -k docker",
    "audit-etc-sysconfig-docker": "-w /etc/sysconfig/docker -p wa -k docker",
    "audit-bin-containerd": "-w /usr/bin/containerd -p wxa -k docker",
    "audit-bin-containerd-shim": "-w /usr/bin/containerd-shim -p wxa -k docker",
    "audit-bin-containerd-shim-runc-v1": "-w /usr/bin/containerd-shim-runc-v1 -p wxa -k docker",
    "audit-bin-containerd-shim-runc-v2": "-w /usr/bin/containerd-shim-runc-v2 -p wxa -k docker",
    "audit-bin-runc": "-w /usr/sbin/runc -p wxa -k docker",
}
SOCKET_UNIT = "-w /usr/lib/systemd/system/docker.socket -p wa -k docker"
REGULAR = {"type": "file", "mode": "0644", "uid": 0, "gid": 0, "acl": [], "target": None}
ALL_FILES = {"/etc/docker/daemon.json": REGULAR, "/etc/sysconfig/docker": REGULAR}


def audited(rules: Any, *, lasting: Any = None, enabled: Any = 1, **sources: Any) -> Snapshot:
    files = [{"file": "/etc/audit/rules.d/docker.rules", "lines": rules if lasting is None else lasting}]
    loaded = {"rules": rules, "status": {"enabled": enabled}}
    sources.setdefault("files", ALL_FILES)
    return make(**{"audit.loaded": loaded, "audit.persistent": files, **sources})


def details(verdict: Verdict) -> str:
    return " ".join(f"{offender.name} {offender.detail}" for offender in verdict.offenders)


@pytest.mark.parametrize("slug", RULES)
def test_each_audit_control_passes_with_the_rule_for_its_path(judge: Judge, slug: str) -> None:
    verdict = judge(slug, audited([RULES[slug], SOCKET_UNIT]))
    assert verdict.status is Status.PASS, verdict
    assert any(RULES[slug] in fact for fact in verdict.evidence)


@pytest.mark.parametrize("slug", RULES)
def test_an_audit_control_fails_with_only_the_rules_for_other_paths(judge: Judge, slug: str) -> None:
    covering = {"audit-daemon-json": {"audit-etc-docker"}, "audit-containerd-sock": {"audit-run-containerd"}}
    left_out = {slug} | covering.get(slug, set())
    verdict = judge(slug, audited([rule for other, rule in RULES.items() if other not in left_out]))
    assert verdict.status is Status.FAIL
    assert verdict.offenders


@pytest.mark.parametrize("slug", RULES)
def test_every_audit_control_fails_without_rules_without_auditd_or_with_auditing_off(
    judge: Judge, slug: str
) -> None:
    assert judge(slug, audited([])).status is Status.FAIL
    assert judge(slug, audited([RULES[slug], SOCKET_UNIT], enabled=0)).status is Status.FAIL
    missing = make(
        files=ALL_FILES,
        **{"audit.loaded": absent("no auditctl"), "audit.persistent": absent("no /etc/audit")},
    )
    assert "not installed" in judge(slug, missing).actual


@pytest.mark.parametrize("slug", RULES)
def test_unreadable_rules_are_an_error(judge: Judge, slug: str) -> None:
    with pytest.raises(FactUnavailable):
        judge(
            slug, audited([RULES[slug], SOCKET_UNIT], **{"audit.loaded": failed("Operation not permitted")})
        )


@pytest.mark.parametrize(
    ("slug", "sources"),
    [
        ("audit-daemon-json", {}),
        ("audit-etc-sysconfig-docker", {}),
        ("audit-etc-default-docker", {"files": {"/etc/default/docker": None}}),
        ("audit-etc-docker", {"files": {"/etc/docker": None}}),
        ("audit-containerd-config", {"files": {"/etc/containerd/config.toml": None}}),
        ("audit-containerd-sock", {"files": {"/run/containerd/containerd.sock": None}}),
        ("audit-run-containerd", {"files": {"/run/containerd": None}}),
        ("audit-bin-containerd-shim", {"engine": {"binaries": {"containerd-shim": None}}}),
        ("audit-docker-service", {"units": absent("systemd does not run")}),
        ("audit-docker-service", {"units": {"docker.service": {"LoadState": "not-found"}}}),
        (
            "audit-docker-socket",
            {
                "units": absent("systemd does not run"),
                "engine": {"socket": None},
                "daemon.config": {"flags": only({"host": ["tcp://127.0.0.1:2376"]})},
            },
        ),
    ],
)
def test_absent_paths_need_no_rule(judge: Judge, slug: str, sources: dict[str, Any]) -> None:
    assert judge(slug, make(**sources)).status is Status.NOT_APPLICABLE


def test_a_rule_must_be_in_a_persistent_file(judge: Judge) -> None:
    verdict = judge("audit-dockerd", audited([RULES["audit-dockerd"]], lasting=[]))
    assert verdict.status is Status.FAIL
    assert "no persistent rule" in verdict.actual


def test_a_rule_must_be_loaded(judge: Judge) -> None:
    verdict = judge("audit-dockerd", audited([], lasting=[RULES["audit-dockerd"]]))
    assert verdict.status is Status.FAIL
    assert "no loaded rule" in verdict.actual


def test_a_file_that_disables_auditing_at_boot_fails(judge: Judge) -> None:
    rule = RULES["audit-dockerd"]
    assert judge("audit-dockerd", audited([rule], lasting=[rule, "-e 0"])).status is Status.FAIL
    assert judge("audit-dockerd", audited([rule], lasting=[rule, "-e 2"], enabled=2)).status is Status.PASS


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        *(("-D", Status.PASS), ("-D -k docker", Status.FAIL), ("-e 0", Status.FAIL), ("-e 2", Status.PASS)),
        *(("-b many", Status.FAIL), ("-f panic", Status.FAIL)),
    ],
)
@pytest.mark.parametrize("name", ["00-first", "99-last"])
def test_a_file_that_deletes_rules_or_disables_auditing_is_joined_as_augenrules_does(
    judge: Judge, name: str, line: str, expected: Status
) -> None:
    rule = RULES["audit-dockerd"]
    files = [
        {"file": f"/etc/audit/rules.d/{name}.rules", "lines": [line]},
        {"file": "/etc/audit/rules.d/10-docker.rules", "lines": [rule]},
    ]
    expected = Status.PASS if (name, line) == ("00-first", "-D -k docker") else expected
    assert judge("audit-dockerd", audited([rule], **{"audit.persistent": files})).status is expected
    if line[1] in "bf":  # the last value counts
        files.append({"file": "/etc/audit/rules.d/99-later.rules", "lines": [f"{line[:2]} 1"]})
        verdict = judge("audit-dockerd", audited([rule], **{"audit.persistent": files}))
        assert verdict.status is Status.PASS


WATCH = "-w /etc/docker -p wa -k docker"
BEFORE = "/etc/audit/rules.d/10-site.rules"


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("-w /etc/hosts -p wa -k hosts # of the site", Status.FAIL, "a word of it"),
        ("--unheard-of", Status.FAIL, "a word of it"),
        ("-w etc/hosts -p wa", Status.FAIL, "slash"),
        ("-w\t/etc/hosts -p wa", Status.FAIL, "slash"),
        ("-w /etc/hosts -p wa -F auid>=1000", Status.FAIL, "no conditions"),
        ("-w /etc/hosts -p wat", Status.FAIL, "permissions"),
        ("-a exit -F path=/etc/hosts", Status.FAIL, "list"),
        ("-a always,exit -F path", Status.FAIL, "condition"),
        ("-w /etc/hosts -p wa\r", Status.FAIL, "permissions"),
        ("-a always,exit -F path=/etc/dock -F perm=wat", Status.FAIL, "permissions"),
        ("\r", Status.FAIL, "a word of it"),
        ("-f 1\r", Status.FAIL, "none of 0, 1 and 2"),
        ("-b many", Status.FAIL, "no number"),
        ("-e 2", Status.PASS, ""),  # augenrules moves it to the end
        ("-w /etc/hosts\r", Status.MANUAL, "is not loaded"),
        ("-a always,exit -F path=/etc/dock -F foo=1", Status.MANUAL, "is not loaded"),
        ("-a always,exit -F foo=1 -S adjtimex", Status.MANUAL, "is not loaded"),
        ("-a always,exclude -F msgtype=CWD -F foo=1", Status.MANUAL, "is not loaded"),
        ("-A exclude,always -F msgtype=EOE", Status.PASS, ""),
        ("-aexit,always -F loginuid=root -F path=/etc/dock", Status.PASS, ""),
        ("-w /srv/missing/file -p wa", Status.MANUAL, "is not loaded"),
        ("-a always,exit -F arch=b64 -S nosuchcall -k calls", Status.MANUAL, "is not loaded"),
        ("-a always,exit -F arch=b64 -S adjtimex -k docker", Status.PASS, ""),  # a rule with this key is
        ("-w /etc/dock -p wa", Status.PASS, ""),  # it is loaded
        ("-b 8192", Status.PASS, ""),
        ("--backlog_wait_time 60000", Status.PASS, ""),
        ("-i", Status.PASS, ""),
        ("-D -k other", Status.PASS, ""),
    ],
)
def test_rules_after_a_line_that_auditctl_refuses_are_not_loaded_at_boot(
    judge: Judge, line: str, status: Status, words: str
) -> None:
    files = [
        {"file": "/etc/audit/rules.d/50-docker.rules", "lines": [WATCH]},
        {"file": BEFORE, "lines": [line]},
    ]
    loaded = ["-a always,exclude -F msgtype=EOE", "-a always,exit -F path=/etc/dock -F auid=0"]
    host = audited([WATCH, "-w /etc/dock -p wa", *loaded], **{"audit.persistent": files})
    verdict = judge("audit-etc-docker", host)
    assert verdict.status is status, verdict
    assert words in verdict.actual
    assert (f"loading ends at {line!r}" in verdict.actual) == (status is Status.FAIL)
    later = status if line.startswith(("-b", "-f")) else Status.PASS  # augenrules moves these two
    files[1]["lines"] = ["-c", line]
    assert judge("audit-etc-docker", host).status is later
    files[1:] = [{"file": BEFORE.replace("10", "60"), "lines": [line]}]
    assert judge("audit-etc-docker", host).status is later


def test_a_carriage_return_belongs_to_the_path_of_a_watch(judge: Judge) -> None:
    lasting = ["-w /etc/docker\r", "-w /etc -k docker\r"]
    for lines, status in ((lasting[:1], Status.FAIL), (lasting[1:], Status.PASS)):
        assert judge("audit-etc-docker", audited([WATCH, "-w /etc"], lasting=lines)).status is status


def test_a_rule_that_is_there_twice_ends_the_loading(judge: Judge) -> None:
    rule = "-w /etc/hosts -p wa -k hosts"
    other = "-a always,exit -F arch=b64 -F dir=/etc/hosts -F perm=wa -F key=hosts"
    for second, status in ((rule, Status.FAIL), (other, Status.PASS), (f"{rule}2", Status.PASS)):
        verdict = judge("audit-etc-docker", audited([WATCH, rule, second], lasting=[rule, second, WATCH]))
        assert verdict.status is status, verdict
    deleted = [rule, "-W /etc/hosts -p wa -k hosts", rule, WATCH]
    assert judge("audit-etc-docker", audited([WATCH, rule], lasting=deleted)).status is Status.PASS


@pytest.mark.parametrize(
    ("first", "status"), [("9-site", Status.FAIL), (".0-site", Status.PASS), ("100-site", Status.PASS)]
)
def test_files_are_read_in_the_order_of_augenrules(judge: Judge, first: str, status: Status) -> None:
    files = [
        {"file": "/etc/audit/rules.d/10-docker.rules", "lines": [WATCH]},
        {"file": f"/etc/audit/rules.d/{first}.rules", "lines": ["-a never,exit -F dir=/etc/docker"]},
    ]
    assert judge("audit-etc-docker", audited([WATCH], **{"audit.persistent": files})).status is status


def test_rules_after_the_lock_of_a_single_file_are_not_loaded(judge: Judge) -> None:
    files = [{"file": "/etc/audit/audit.rules", "lines": ["-D", "-e 2", WATCH]}]
    verdict = judge("audit-etc-docker", audited([WATCH], **{"audit.persistent": files}))
    assert verdict.status is Status.FAIL
    assert "locks the rules" in verdict.actual


TREE = "-a always,exit -F arch=b64 -F dir=/run/containerd -F perm=wa -k docker"
SOCKET = "-w /run/containerd/containerd.sock -p wa -k docker"


@pytest.mark.parametrize(
    ("slug", "lines", "late", "made"),
    [
        ("audit-run-containerd", ["-w /run/containerd -p wa -k docker"], Status.FAIL, Status.PASS),
        ("audit-run-containerd", [TREE], Status.FAIL, Status.PASS),
        ("audit-containerd-sock", [SOCKET], Status.FAIL, Status.PASS),
        ("audit-etc-docker", [TREE, WATCH], Status.FAIL, Status.PASS),
        ("audit-etc-docker", ["-w /run/containerd -p wa -k docker", WATCH], Status.PASS, Status.PASS),
    ],
)
def test_folders_of_the_engine_exist_at_boot_where_systemd_makes_them(
    judge: Judge, slug: str, lines: list[str], late: Status, made: Status
) -> None:
    files = [{"file": "/etc/audit/rules.d/docker.rules", "lines": lines}]
    host = audited(lines, **{"audit.persistent": files})
    assert judge(slug, host).status is Status.PASS  # the snapshot is of an earlier collector
    files.append({"file": "/etc/tmpfiles.d", "lines": []})
    verdict = judge(slug, host)
    assert verdict.status is late, verdict
    files.append({"file": "/etc/tmpfiles.d/x.conf", "lines": ["d /run/containerd 0711 root root -"]})
    assert judge(slug, host).status is made


def test_a_rule_without_the_permission_execute_fails(judge: Judge) -> None:
    verdict = judge("audit-dockerd", audited(["-w /usr/sbin/dockerd -p wa -k docker"]))
    assert verdict.status is Status.FAIL
    assert "records execution" in details(verdict)


def test_rules_limited_to_some_users_are_shown_but_do_not_pass(judge: Judge) -> None:
    rule = "-a always,exit -F path=/usr/sbin/dockerd -F perm=wxa -F auid>=1000 -F key=docker"
    verdict = judge("audit-dockerd", audited([rule]))
    assert verdict.status is Status.FAIL
    assert f"loaded: {rule}" in verdict.evidence


@pytest.mark.parametrize(
    "rule",
    [
        "-a never,exit -F auid=1000",
        "-a never,exit -F dir=/etc/docker/certs.d",
        "-a never,exit -F arch=b64 -S openat",
        "-a never,task",
        "-a always,exclude -F msgtype=SYSCALL",
        "-a never,exclude -F msgtype=PATH",
        "-r 1",
    ],
)
def test_a_rule_that_suppresses_records_fails_and_is_named(judge: Judge, rule: str) -> None:
    verdict = judge("audit-etc-docker", audited([rule, WATCH]))
    assert verdict.status is Status.FAIL
    assert rule in details(verdict)
    reboot = judge("audit-etc-docker", audited([WATCH], lasting=[rule, WATCH]))
    assert reboot.status is Status.FAIL
    assert rule in details(reboot)


@pytest.mark.parametrize(
    ("loaded", "words"),
    [
        ({"status": {"enabled": 1, "pid": 0}}, "auditd does not run (pid 0)"),
        ({"daemon": {"name": None}}, "pid 480 is no process"),
        ({"daemon": {"name": "sleep"}}, "pid 480 is sleep"),
        ({"daemon": {"name": "auditd", "write_logs": "no"}}, "write_logs = no"),
        ({"daemon": {"name": "auditd", "local_events": "NO"}}, "local_events = NO"),
        ({"daemon": {"log_format": "NOLOG"}}, "log_format = NOLOG"),
        ({"daemon": {"log_format": "nolog"}}, "log_format = nolog"),
        ({"status": {"enabled": 1, "rate_limit": 1}}, "above 1 a second"),
        ({"status": {"enabled": 0}}, "switched off"),
    ],
)
def test_an_auditd_that_writes_nothing_fails(judge: Judge, loaded: dict[str, Any], words: str) -> None:
    sources = {"audit.persistent": [{"file": "/etc/audit/rules.d/d.rules", "lines": [WATCH]}]}
    good = {"rules": [WATCH], "status": {"enabled": 1, "pid": 480, "rate_limit": 0}}
    daemon = {"name": "auditd", "write_logs": "yes", "local_events": None}
    healthy = make(**{"audit.loaded": {**good, "daemon": daemon}}, **sources)
    assert judge("audit-etc-docker", healthy).status is Status.PASS
    for older in ({"daemon": GONE}, {"daemon": {"log_format": GONE}}):
        verdict = judge("audit-etc-docker", make(**{"audit.loaded": {**good, **older}}, **sources))
        assert verdict.status is Status.MANUAL
        assert "log_format" in verdict.actual
    verdict = judge("audit-etc-docker", make(**{"audit.loaded": {**good, **loaded}}, **sources))
    assert verdict.status is Status.FAIL
    assert words in details(verdict)


@pytest.mark.parametrize(
    ("unit", "state"),
    [
        ("auditd.service", "disabled"),
        ("auditd.service", "masked"),
        ("auditd.service", "enabled-runtime"),
        ("audit-rules.service", "masked"),
    ],
)
def test_units_that_do_not_start_at_boot_fail(judge: Judge, unit: str, state: str) -> None:
    verdict = judge("audit-etc-docker", audited([WATCH], units={unit: {"UnitFileState": state}}))
    assert verdict.status is Status.FAIL
    assert f"{unit} is {state}" in details(verdict)


LOADERS = {
    "augenrules": {"audit-rules.service": {"ExecStart": [["/usr/sbin/augenrules", "--load"]]}},
    "auditctl": {"audit-rules.service": {"ExecStart": [["/sbin/auditctl", "-R", "/etc/audit/audit.rules"]]}},
    "augenrules of auditd": {
        "audit-rules.service": GONE,
        "auditd.service": {"ExecStartPre": [], "ExecStartPost": [["/sbin/augenrules", "--load"]]},
    },
    "another file": {"audit-rules.service": {"ExecStart": [["/sbin/auditctl", "-R", "/etc/other.rules"]]}},
    "none": {"audit-rules.service": {"LoadState": "not-found"}},
    "an older snapshot": {"audit-rules.service": {"ExecStartPost": GONE}},
}


@pytest.mark.parametrize(
    ("loader", "in_file", "in_folder"), list(product(LOADERS, (True, False), (True, False, None)))
)
def test_only_rules_that_are_loaded_at_boot_count(
    judge: Judge, loader: str, in_file: bool, in_folder: bool | None
) -> None:
    """Whatever loads the rules: augenrules replaces audit.rules where the folder exists (not None)."""
    files = [{"file": "/etc/audit/audit.rules", "lines": [WATCH] * in_file}]
    if in_folder is not None:
        files += [
            {"file": "/etc/audit/rules.d", "lines": []},
            {"file": "/etc/audit/rules.d/docker.rules", "lines": [WATCH] * in_folder},
        ]
    by_augenrules = in_file if in_folder is None else in_folder
    verdict = judge(
        "audit-etc-docker", audited([WATCH], units=LOADERS[loader], **{"audit.persistent": files})
    )
    if loader.startswith("augenrules"):
        expected = Status.PASS if by_augenrules else Status.FAIL
    elif loader == "auditctl":
        expected = Status.PASS if in_file else Status.FAIL
    elif in_file and by_augenrules:
        expected = Status.PASS
    else:
        expected = Status.MANUAL if in_file or by_augenrules else Status.FAIL
    assert verdict.status is expected, verdict
    assert (expected is Status.MANUAL) == ("not known which program" in verdict.actual)


def test_the_program_that_loads_rules_is_not_known_without_systemd(judge: Judge) -> None:
    assert judge("audit-etc-docker", audited([WATCH], units=absent("no systemd"))).status is Status.MANUAL


STARTED = 5_000_000  # audit-rules.service of the base
POINTS = {"/run", "/run/docker.sock", "/srv", "/usr", "/etc", "/etc/dock", "/var/lib", "/var/lib/docker"}
POINTS |= {
    "/etc/docker",
    "/etc/docker/certs.d",
    "/etc/docker/daemon.json",
    "/var/lib/docker/overlay2/c/merged",
}


def mounted(point: str, **more: Any) -> dict[str, Any]:
    where = {"mount_point": point, "root": "/", "device": "8:1", "fstype": "ext4", "source": "/dev/sda1"}
    return {**where, "options": "rw", "propagation": "shared", **more}


@pytest.mark.parametrize("slug", [slug for slug in RULES if "-bin-" not in slug])
@pytest.mark.parametrize("point", sorted(POINTS))
@pytest.mark.parametrize("since", [{}, {"since": STARTED - 1}, {"since": STARTED + 1}])
def test_a_file_system_mounted_over_a_path_after_the_rules_were_loaded_is_not_audited(
    judge: Judge, slug: str, point: str, since: dict[str, int]
) -> None:
    mounts = [mounted("/"), mounted(point, **since)]
    verdict = judge(slug, audited([RULES[slug], SOCKET_UNIT], mounts=mounts))
    paths = [RULES[slug].split()[1], *([SOCKET_UNIT.split()[1]] if slug == "audit-docker-socket" else [])]
    over = point != "/run" and any(path == point or path.startswith(f"{point}/") for path in paths)
    within = slug == "audit-etc-docker" and point.startswith("/etc/docker/")
    affected = (over or within) and since != {"since": STARTED - 1}
    assert verdict.status is (Status.MANUAL if affected else Status.PASS)
    assert (point in verdict.actual) == affected


def test_a_mount_is_newer_where_the_start_of_the_rules_is_not_known(judge: Judge) -> None:
    mount = mounted("/etc", since=1)
    units = {"audit-rules.service": {"ExecMainStartTimestampMonotonic": 0}}
    for more in ({"units": units}, {"units": absent("no systemd")}):
        verdict = judge("audit-etc-docker", audited([WATCH], mounts=[mount], **more))
        assert verdict.status is Status.MANUAL
        assert "/etc (ext4) may have been mounted after" in verdict.actual
    failing = judge("audit-etc-docker", audited([], mounts=[mount], units=units))
    assert failing.status is Status.FAIL
    assert failing.undecided is not None
    assert failing.undecided.status is Status.MANUAL


@pytest.mark.parametrize(
    ("daemon", "named"),
    [
        ({"max_log_file_action": "IGNORE", "disk_full_action": "HALT"}, ["max_log_file_action = IGNORE"]),
        ({"max_log_file_action": None, "disk_full_action": "single"}, ["max_log_file_action = IGNORE"]),
        ({"max_log_file_action": "rotate", "disk_full_action": "Suspend"}, ["disk_full_action = SUSPEND"]),
        ({"max_log_file_action": "rotate", "disk_full_action": None}, ["disk_full_action = IGNORE"]),
        (
            {
                "disk_full_action": "halt",
                "space_left_action": "suspend",
                "admin_space_left_action": "SUSPEND",
            },
            ["space_left_action = SUSPEND", "admin_space_left_action = SUSPEND"],
        ),
        ({"disk_full_action": "halt", "space_left_action": "SYSLOG", "admin_space_left_action": None}, []),
        ({"max_log_file_action": "keep_logs", "disk_full_action": "exec /bin/x"}, []),
    ],
)
def test_settings_by_which_records_are_lost_later_are_named(
    judge: Judge, daemon: dict[str, Any], named: list[str]
) -> None:
    verdict = judge(
        "audit-etc-docker", audited([WATCH], **{"audit.loaded": {"rules": [WATCH], "daemon": daemon}})
    )
    assert verdict.status is Status.PASS
    found = [fact.split(": ")[1] for fact in verdict.evidence if fact.startswith("auditd.conf")]
    assert found == named


def test_options_without_a_space_are_parsed(judge: Judge) -> None:
    assert judge("audit-etc-docker", audited(["-w/etc/docker -pwa -kdocker"])).status is Status.PASS


def test_a_persistent_rule_that_is_not_loaded_is_evidence(judge: Judge) -> None:
    verdict = judge("audit-etc-docker", audited([], lasting=["-w/etc/docker -pwa"]))
    assert verdict.status is Status.FAIL
    assert "in /etc/audit, but not loaded: -w/etc/docker -pwa" in verdict.evidence
    listed = "-a always,exit -S all -F dir=/etc/docker -F perm=wa -F key=docker"
    assert not [
        fact
        for fact in judge("audit-etc-docker", audited([listed], lasting=[WATCH])).evidence
        if "not" in fact
    ]


def test_a_drop_in_of_the_docker_unit_without_an_audit_rule_fails(judge: Judge) -> None:
    drop_in = "/etc/systemd/system/docker.service.d/override.conf"
    unit = {"units": {"docker.service": {"DropInPaths": [drop_in]}}, "files": {drop_in: REGULAR}}
    rule = RULES["audit-docker-service"]
    verdict = judge("audit-docker-service", audited([rule], **unit))
    assert verdict.status is Status.FAIL
    assert {offender.name for offender in verdict.offenders} == {drop_in}
    folder = "-w /etc/systemd/system/docker.service.d -p wa"
    assert judge("audit-docker-service", audited([rule, folder], **unit)).status is Status.PASS


def test_the_socket_and_its_unit_both_need_a_rule(judge: Judge) -> None:
    verdict = judge("audit-docker-socket", audited([RULES["audit-docker-socket"]]))
    assert verdict.status is Status.FAIL
    assert {offender.name for offender in verdict.offenders} == {"/usr/lib/systemd/system/docker.socket"}


def test_a_rule_for_the_configured_data_root_passes_if_users_are_remapped(judge: Judge) -> None:
    root = {"docker.info": {"DockerRootDir": "/srv/docker/100000.100000"}}
    assert judge("audit-var-lib-docker", audited(["-w /srv/docker -p wa"], **root)).status is Status.PASS
    assert judge("audit-var-lib-docker", audited(["-w /var/lib/docker -p wa"], **root)).status is Status.FAIL


def test_32_bit_rules_pass_on_a_32_bit_machine_only(judge: Judge) -> None:
    rule = "-a always,exit -F arch=b32 -F path=/usr/sbin/dockerd -F perm=wxa -F key=docker"
    assert judge("audit-dockerd", audited([rule], system={"arch": "armv7l"})).status is Status.PASS
    assert judge("audit-dockerd", audited([rule])).status is Status.FAIL


def test_the_target_of_a_link_is_audited(judge: Judge) -> None:
    files = {"/etc/docker/daemon.json": {**REGULAR, "target": "/srv/conf/daemon.json"}}
    assert judge("audit-daemon-json", audited(["-w /etc/docker"], files=files)).status is Status.FAIL
    assert judge("audit-daemon-json", audited(["-w /srv/conf"], files=files)).status is Status.PASS


@pytest.mark.parametrize(
    ("slug", "lookalike"),
    [
        ("audit-bin-containerd", RULES["audit-bin-containerd-shim-runc-v2"]),
        ("audit-run-containerd", RULES["audit-containerd-sock"]),
        ("audit-etc-docker", RULES["audit-daemon-json"]),
    ],
)
def test_rules_for_similar_paths_never_rules_and_disabled_auditing_fail(
    judge: Judge, slug: str, lookalike: str
) -> None:
    assert judge(slug, audited([lookalike])).status is Status.FAIL
    path = RULES[slug].split()[1]
    never = f"-a never,exit -S all -F dir={path}"
    assert judge(slug, audited([never])).status is Status.FAIL
    assert judge(slug, audited([never, RULES[slug]])).status is Status.FAIL
    assert judge(slug, audited([RULES[slug]], enabled=0)).status is Status.FAIL
    assert judge(slug, audited([RULES[slug]])).status is Status.PASS


def test_a_directory_watch_covers_the_file(judge: Judge) -> None:
    assert judge("audit-daemon-json", audited(["-w /etc/docker -p wa -k docker"])).status is Status.PASS


def test_rules_in_rules_d_are_read_and_unreadable_ones_are_an_error(judge: Judge) -> None:
    rule = RULES["audit-dockerd"]
    assert judge("audit-dockerd", audited([rule], lasting=[rule])).status is Status.PASS
    with pytest.raises(FactUnavailable, match="not permitted"):
        judge("audit-dockerd", audited([rule], **{"audit.loaded": failed("Operation not permitted")}))
    with pytest.raises(FactUnavailable, match="denied"):
        judge("audit-dockerd", audited([rule], **{"audit.persistent": failed("Permission denied")}))


@pytest.mark.parametrize(
    "parsed",
    [
        {"default-runtime": "slim", "runtimes": {"slim": {"path": "/opt/slim/runc"}}},
        {"runtimes": {"slim": {"path": "/opt/slim/runc"}}},
        {"default-runtime": "/opt/slim/runc"},
    ],
)
def test_each_configured_runtime_without_an_audit_rule_fails(judge: Judge, parsed: dict[str, Any]) -> None:
    config = {"daemon.config": {"exists": True, "parsed": parsed, "error": None}}
    rules = ["-w /usr/sbin/runc -p wxa -k docker"]
    verdict = judge("audit-bin-runc", audited(rules, **config))
    assert verdict.status is Status.FAIL
    assert {offender.name for offender in verdict.offenders} == {"/opt/slim/runc"}
    rules.append("-w /opt/slim/runc -p wxa -k docker")
    assert judge("audit-bin-runc", audited(rules, **config)).status is Status.PASS
