from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.render import security_updates

from hardener.model import Status
from hardener.snapshot import Snapshot
from tests.unit.apt_hosts import AptHost, needs_unattended_upgrades
from tests.unit.plugins.module_utils.render.rendering import documents_of, verdicts
from tests.unit.snapshots import GONE, absent, make, only

OPENSSL = {
    "name": "openssl",
    "installed": "3.5.1-1",
    "candidate": "3.5.1-1+deb13u1",
    "origin": "Debian-Security trixie-security",
    "held": False,
}
DOCKER = {**OPENSSL, "name": "docker.io", "installed": "26.1.5-9", "candidate": "26.1.5-9+deb13u2"}
APT = "/etc/apt/apt.conf.d/90hardener-security-updates"
ROCKY = {
    "system": {"os": only({"ID": "rocky", "ID_LIKE": "rhel centos fedora", "VERSION_ID": "9.6"})},
    "packages": {"manager": "dnf", "index_age_s": None},
}


def documents(snapshot: Snapshot, **variables: Any) -> dict[str, dict[str, Any]]:
    defaults = {
        "automatic": True,
        "apply": True,
        "all": False,
        "origins": [],
        "exclude": [],
        "engine": False,
        "reboot": False,
        "reboot_window": "02:00-05:00",
        "allow": "daemon-restart",
    }
    found = documents_of("security_updates")(snapshot.raw, **{**defaults, **variables})
    return {document["name"]: document for document in found}


def automatic(snapshot: Snapshot, **variables: Any) -> dict[str, Any]:
    return documents(snapshot, **variables)["security_updates_automatic"]


def files(document: dict[str, Any]) -> dict[str, str]:
    return {entry["path"]: entry["content"] for entry in document["resources"] if entry["kind"] == "file"}


def activations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in document["activations"]}


def effective(text: str, values: dict[str, list[str]]) -> dict[str, list[str]]:
    """What apt makes of a file after others: lists grow, and can be cleared."""
    values = {name: list(entries) for name, entries in values.items()}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == "#clear":
            values[f"{value.rstrip(';')}::"] = []
        elif not line.startswith("//"):
            entries = values.setdefault(name, [])
            entries[:] = [*(entries if name.endswith("::") else []), value.strip('";')]
    return values


def test_rendered_apt_settings_satisfy_the_control() -> None:
    document = automatic(make())
    own = [
        "origin=Debian,codename=${distro_codename}-security,label=Debian-Security",
        "origin=Debian,codename=${distro_codename},label=Debian-Security",
    ]
    found = effective(
        files(document)[APT],
        {
            "Unattended-Upgrade::Origins-Pattern::": [
                "origin=Debian,codename=${distro_codename},label=Debian"
            ],
            "Unattended-Upgrade::Allowed-Origins::": ["Debian:stable"],
            "APT::Periodic::Enable": ["0"],
        },
    )
    assert found["Unattended-Upgrade::Origins-Pattern::"] == own
    expect = activations(document)["automatic-updates"]["expect"]
    assert {name: found[name] for name in expect} == expect
    periodic = {name: values[0] for name, values in found.items() if name.startswith("APT::Periodic")}
    after = make(packages={"automatic": only(periodic), "unattended": {"installed": True, "origins": own}})
    assert verdicts(after, "host-updates-automatic") == {"host-updates-automatic": Status.PASS}
    assert list(activations(document)["units"]["units"]) == ["apt-daily.timer", "apt-daily-upgrade.timer"]


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("name", ["linuxmint", "pop", "kali", "raspbian"])
def test_updates_of_a_derivative_come_from_the_security_archives_that_it_has(
    name: str, everything: bool
) -> None:
    def index(origin: str, suite: str) -> dict[str, Any]:
        fields = {"label": origin, "codename": suite, "components": [], "site": ""}
        return {"origin": origin, "suite": suite, "security": "security" in suite, **fields}

    fetched = [index("Ubuntu", "noble"), index("Docker", "noble"), index("x,y", "z-security")]
    system = {"os": only({"ID": name, "ID_LIKE": "ubuntu debian", "VERSION_CODENAME": "zena"})}
    known = make(system=system, packages={"indexes": [*fetched, index("Ubuntu", "noble-security")]})
    lines = [
        line for line in files(automatic(known, all=everything))[APT].splitlines() if "Pattern::" in line
    ]
    others = ["origin=Ubuntu,archive=noble"] if everything else []
    patterns = ["origin=Ubuntu,archive=noble-security", *others]
    assert lines == [f'Unattended-Upgrade::Origins-Pattern:: "{each}";' for each in patterns]
    for packages in ({"indexes": fetched}, {"indexes": GONE}):
        (refused,) = documents(make(system=system, packages=packages)).values()
        assert "is not known" in refused["refused"]


def test_updates_of_ubuntu_come_from_its_own_security_origins() -> None:
    ubuntu = {"os": only({"ID": "ubuntu", "ID_LIKE": "debian", "VERSION_CODENAME": "noble"})}
    text = files(automatic(make(system=ubuntu), all=True, origins=["origin=Docker"]))[APT]
    assert '"origin=Ubuntu,archive=${distro_codename}-security"' in text
    assert '"origin=Ubuntu,archive=${distro_codename}-updates"' in text
    assert '"origin=Docker"' in text
    assert "Debian" not in text
    assert "-updates" not in files(automatic(make(system=ubuntu)))[APT]


def test_only_packages_that_restart_the_engine_are_excluded() -> None:
    found = documents(make(packages={"pending_security": [OPENSSL, DOCKER]}))
    excluded = files(found["security_updates_automatic"])[f"{APT}-engine"]
    assert r'"docker\.io$"' in excluded
    assert "runc" not in excluded
    assert "docker.io 26.1.5-9 → 26.1.5-9+deb13u2" in found["security_updates_engine"]["refused"]
    pending = activations(found["security_updates_automatic"])["pending-updates"]
    assert pending["updates"] == ["openssl 3.5.1-1 → 3.5.1-1+deb13u1"]
    assert "security_updates_engine" not in documents(make())


@pytest.mark.parametrize(
    ("info", "allow", "impact", "excluded"),
    [
        ({"ContainersRunning": 2, "LiveRestoreEnabled": True}, "daemon-restart", "daemon-restart", False),
        ({"ContainersRunning": 2, "LiveRestoreEnabled": False}, "daemon-restart", "containers-stop", True),
        ({"ContainersRunning": 2, "LiveRestoreEnabled": False}, "containers-stop", "containers-stop", False),
        ({"ContainersRunning": 0, "LiveRestoreEnabled": False}, "reload", "daemon-restart", True),
    ],
)
def test_the_engine_is_upgraded_where_its_restart_is_allowed(
    info: dict[str, Any], allow: str, impact: str, excluded: bool
) -> None:
    snapshot = make(**{"docker.info": info, "packages": {"pending_security": [DOCKER]}})
    found = documents(snapshot, engine=True, allow=allow)
    engine = found["security_updates_engine"]
    assert engine["impact"] == impact
    assert engine["resources"] == [{"kind": "absent", "path": f"{APT}-engine"}]
    assert activations(engine)["pending-updates"]["updates"] == ["docker.io 26.1.5-9 → 26.1.5-9+deb13u2"]
    # Else the installer would do what the transaction held.
    assert (f"{APT}-engine" in files(found["security_updates_automatic"])) is excluded


DOCKER_CE = {**DOCKER, "name": "docker-ce", "installed": "5:29.7.2-1", "candidate": "5:29.9.0-1"}
DOCKER_INDEX = {"newest": "5:29.9.0-1", "date": None, "updates": [DOCKER_CE]}


def with_docker_ce(**packages: Any) -> Snapshot:
    installed = {"docker.io": GONE, "docker-ce": "5:29.7.2-1"}
    return make(packages={"installed": installed, "docker_index": DOCKER_INDEX, **packages})


def test_a_newer_docker_ce_is_installed_where_the_site_permits_it() -> None:
    refused = documents(with_docker_ce())["security_updates_engine"]["refused"]
    why = "restarts the engine; set security_updates_engine: true to install it"
    assert refused == f"docker-ce 5:29.7.2-1 → 5:29.9.0-1: {why}"
    found = documents(with_docker_ce(), engine=True)
    assert activations(found["security_updates_engine"])["pending-updates"]["updates"] == [
        "docker-ce 5:29.7.2-1 → 5:29.9.0-1"
    ]


def test_with_dnf_a_newer_docker_ce_is_refused_with_the_command_that_installs_it() -> None:
    snapshot = with_docker_ce(manager="dnf", index_age_s=None)
    refused = documents(Snapshot({**snapshot.raw, "host": "h"}), engine=True)["security_updates_engine"]
    assert "run `dnf upgrade docker-ce docker-ce-cli containerd.io` on the host" in refused["refused"]
    assert "security_updates_engine" not in documents(
        with_docker_ce(manager="dnf", docker_index=None), engine=True
    )


@needs_unattended_upgrades
@pytest.mark.parametrize(
    ("variables", "upgraded"),
    [
        ({}, {"openssl"}),
        (
            {"engine": True, "allow": "containers-stop"},
            {"openssl", "docker-ce", "docker-ce-cli", "containerd.io"},
        ),
        ({"engine": True, "allow": "reload"}, {"openssl"}),
        ({"exclude": ["openssl$"]}, set()),
        ({"all": True}, {"openssl", "bash"}),
        ({"origins": ["origin=Docker"]}, {"openssl", "docker-ce-cli"}),
    ],
)
def test_unattended_upgrades_takes_what_the_site_has_chosen(
    tmp_path: Path, variables: dict[str, Any], upgraded: set[str]
) -> None:
    versions = {
        "openssl": "3.5.1-1",
        "bash": "5.2-1",
        "docker-ce": "5:29.7.2-1",
        "docker-ce-cli": "5:29.7.2-1",
    }
    apt = AptHost(tmp_path, installed={**versions, "containerd.io": "2.2.5-1"})
    codename = platform.freedesktop_os_release()["VERSION_CODENAME"]
    debian = {"Origin": "Debian", "Label": "Debian", "Codename": codename, "Components": "main"}
    apt.fetch("http://mirror.example.org/debian", debian, [("bash", "5.2-2"), ("openssl", "3.5.1-1")])
    security = {**debian, "Label": "Debian-Security", "Codename": f"{codename}-security"}
    apt.fetch("http://mirror.example.org/security", security, [("openssl", "3.5.1-1+deb13u1")])
    docker = {"Origin": "Docker", "Label": "Docker CE", "Codename": codename, "Components": "stable"}
    newer = [("docker-ce", "5:29.9.0-1"), ("docker-ce-cli", "5:29.9.0-1"), ("containerd.io", "2.2.9-1")]
    apt.fetch("https://mirror.example.org/linux/debian", docker, newer)
    (tmp_path / "etc/apt/apt.conf.d/50unattended-upgrades").write_text(
        'Unattended-Upgrade::Origins-Pattern { "origin=Debian,codename=${distro_codename},label=Debian"; };\n'
    )
    apt.write(documents(with_docker_ce(), **variables).values())
    assert apt.upgrades() == upgraded


def test_held_and_disabled_updates_are_noted() -> None:
    snapshot = make(packages={"pending_security": [{**OPENSSL, "held": True}]})
    document = automatic(snapshot)
    assert activations(document)["pending-updates"]["updates"] == []
    assert "held by this host's administrator" in document["notes"][0]
    document = automatic(make(packages={"pending_security": [OPENSSL]}), apply=False)
    assert "pending-updates" not in activations(document)
    assert "security_updates_apply is false" in document["notes"][0]


@pytest.mark.parametrize(
    ("packages", "unknown"),
    [
        ({"index_age_s": None}, "there is no index of security updates yet"),
        ({"index_age_s": 30 * 3600}, "the index of security updates is 30 hours old"),
        ({"pending_error": "dnf: timed out", "pending_security": None}, "dnf: timed out"),
        ({"index_age_s": 3600}, ""),
    ],
)
def test_the_activation_gets_the_reason_why_pending_updates_are_unknown(
    packages: dict[str, Any], unknown: str
) -> None:
    assert activations(automatic(make(packages=packages)))["pending-updates"]["unknown"] == unknown


def test_a_reboot_is_automatic_only_if_the_site_enables_it() -> None:
    snapshot = make(packages={"reboot_required": True, "reboot_packages": ["linux-image-amd64"]})
    document = automatic(snapshot)
    assert 'Unattended-Upgrade::Automatic-Reboot "false";' in files(document)[APT]
    assert document["notes"] == [
        "this host waits for a reboot: linux-image-amd64 requested it; automatic reboots are off"
    ]
    document = automatic(snapshot, reboot=True)
    assert 'Unattended-Upgrade::Automatic-Reboot-Time "02:00";' in files(document)[APT]
    assert document["impact"] == "none"
    kernel = make(packages={"newest_kernel": "6.12.118+deb13-cloud-amd64"})
    assert "6.12.118+deb13-cloud-amd64 is installed, 6.12.57+deb13" in automatic(kernel)["notes"][0]


def test_origins_of_updates_are_written_even_if_automatic_updates_are_disabled() -> None:
    document = automatic(make(), automatic=False)
    assert "APT::Periodic" not in files(document)[APT]
    assert "Debian-Security" in files(document)[APT]
    assert "units" not in activations(document)


def test_dnf_automatic_reads_the_rendered_file() -> None:
    document = automatic(make(**ROCKY), exclude=["kernel*"], reboot=True)
    own = files(document)["/etc/dnf/hardener-automatic.conf"]
    assert "upgrade_type = security\n" in own
    assert "apply_updates = yes\n" in own
    assert "reboot = when-needed\nreboot_command = shutdown -r 02:00\n" in own
    assert "docker-ce" in own
    assert own.rstrip().endswith(",kernel*")
    drop_in = files(document)["/etc/systemd/system/dnf-automatic-install.service.d/50-hardener.conf"]
    assert "ExecStart=\nExecStart=/usr/bin/dnf-automatic /etc/dnf/hardener-automatic.conf --timer" in drop_in
    wanted = activations(document)
    assert list(wanted["units"]["units"]) == ["dnf-automatic-install.timer"]
    assert wanted["automatic-updates"]["configuration"] == "/etc/dnf/hardener-automatic.conf"
    assert wanted["pending-updates"]["unknown"] == ""
    after = make(**ROCKY, units={"dnf-automatic-install.timer": {"ActiveState": "active"}})
    assert verdicts(after, "host-updates-automatic") == {"host-updates-automatic": Status.PASS}
    everything = automatic(make(**ROCKY), all=True, engine=True)
    assert "upgrade_type = default\n" in files(everything)["/etc/dnf/hardener-automatic.conf"]
    assert "excludepkgs" not in files(everything)["/etc/dnf/hardener-automatic.conf"]


@pytest.mark.parametrize(
    ("snapshot", "variables", "reason"),
    [
        (make(packages=absent("hardener does not read packages of apk")), {}, "packages could not be read"),
        (
            make(system={"os": only({"ID": "devuan", "PRETTY_NAME": "Devuan 6"})}, packages={"indexes": []}),
            {},
            "Devuan 6",
        ),
        (
            make(**{**ROCKY, "system": {"os": only({"ID": "fedora", "VERSION_ID": "43"})}}),
            {},
            "this Fedora has dnf5",
        ),
        (make(), {"origins": ['x";\nAPT::X "']}, "has a quote or a control character"),
        (make(), {"exclude": ['"']}, "security_updates_exclude"),
        (make(), {"reboot_window": "2-5"}, "security_updates_reboot_window is '2-5'"),
        (make(), {"reboot_window": "24:00-05:00"}, "two times of day"),
    ],
)
def test_unsupported_hosts_are_refused_with_a_reason(
    snapshot: Snapshot, variables: dict[str, Any], reason: str
) -> None:
    assert reason in documents(snapshot, **variables)["security_updates"]["refused"]


@pytest.mark.parametrize(
    ("now", "window", "open_"),
    [
        ("02:00", "02:00-05:00", True),
        ("04:59", "02:00-05:00", True),
        ("05:00", "02:00-05:00", False),
        ("23:30", "22:00-04:00", True),
        ("03:59", "22:00-04:00", True),
        ("12:00", "22:00-04:00", False),
    ],
)
def test_a_reboot_window_can_span_midnight(now: str, window: str, open_: bool) -> None:
    assert security_updates.is_open(now, window) is open_


def test_containers_with_a_restart_policy_are_restarted() -> None:
    def container(number: int, running: bool, policy: str) -> dict[str, Any]:
        return {
            "inspect": {
                "Id": str(number),
                "State": {"Running": running},
                "HostConfig": {"RestartPolicy": {"Name": policy}},
            },
            "proc": None,
        }

    containers = [
        container(1, True, "always"),
        container(2, True, "no"),
        container(3, False, "always"),
        container(4, True, "unless-stopped"),
        container(5, True, "on-failure"),
    ]
    snapshot = make(**{"docker.containers": containers})
    assert security_updates.returning(snapshot.raw) == ["1", "4"]
