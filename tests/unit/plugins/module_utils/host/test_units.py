from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host import units
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent
from ansible_collections.hardener.docker.plugins.module_utils.host.redact import Redactor
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.sources import redacted_units

SHOWN = """\
Id=docker.service
MainPID=640
NRestarts=2
LoadState=loaded
ActiveState=active
SubState=running
FragmentPath=/usr/lib/systemd/system/docker.service
DropInPaths=/etc/systemd/system/docker.service.d/10-a.conf /etc/systemd/system/docker.service.d/20-b.conf
UnitFileState=enabled
ExecStartPre={ path=/bin/sh ; argv[]=/bin/sh -c "a b" ; ignore_errors=no }
ExecStart={ path=/usr/sbin/dockerd ; argv[]=/usr/sbin/dockerd -H fd:// --label a;b $DOCKER_OPTS ; \
ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }
Environment=HTTPS_PROXY=http://me:hunter2@proxy "TOKEN=hunter 3"
EnvironmentFiles=/etc/default/docker (ignore_errors=yes)

Id=docker.socket
LoadState=loaded
ActiveState=active
SubState=listening
Listen=/run/docker.sock (Stream)
Listen=[::]:2375 (Stream)
SocketUser=root
SocketGroup=docker
SocketMode=0660

Id=nftables.service
LoadState=not-found
ActiveState=inactive
"""


def test_unit_properties_are_read() -> None:
    found = units.parse(SHOWN)
    assert list(found) == ["docker.service", "docker.socket", "nftables.service"]
    docker = found["docker.service"]
    assert (docker["MainPID"], docker["NRestarts"]) == (640, 2)
    assert docker["ExecStart"] == [["/usr/sbin/dockerd", "-H", "fd://", "--label", "a;b", "$DOCKER_OPTS"]]
    assert docker["ExecStartPre"] == [["/bin/sh", "-c", "a b"]]
    assert docker["ExecStartPost"] == []
    assert docker["DropInPaths"] == [
        "/etc/systemd/system/docker.service.d/10-a.conf",
        "/etc/systemd/system/docker.service.d/20-b.conf",
    ]
    assert docker["Environment"] == ["HTTPS_PROXY", "TOKEN"]
    assert docker["EnvironmentFiles"] == ["/etc/default/docker (ignore_errors=yes)"]
    assert found["docker.socket"]["Listen"] == ["/run/docker.sock (Stream)", "[::]:2375 (Stream)"]
    assert found["nftables.service"]["ExecStart"] == []
    assert "hunter" not in str(found)


def test_secrets_on_a_units_command_line_are_replaced() -> None:
    shown = SHOWN.replace("--label a;b", "--log-opt splunk-token=hunter2")
    shown = shown.replace('-c "a b"', "--password=hunter2")
    assert "hunter" not in str(redacted_units(units.parse(shown), Redactor()))


def test_the_times_of_mounts_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = (
        "Where=/var/lib\nActiveEnterTimestampMonotonic=8\n\nWhere=/gone\nActiveEnterTimestampMonotonic=0\n\n"
        "ActiveEnterTimestampMonotonic=12\nWhere=/etc/docker\n"
    )
    monkeypatch.setattr(units, "run", lambda *_: shown)
    assert units.mounted() == {"/var/lib": 8, "/etc/docker": 12}

    def absent(*_: str) -> str:
        raise Absent("there is no systemctl")

    monkeypatch.setattr(units, "run", absent)
    assert units.mounted() == {}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ("'a b' \"c d\"", ["a b", "c d"]),
        ("a\\ b", ["a b"]),
        ("''", [""]),
        ("a'b'c", ["abc"]),
        ("'open", ["open"]),
        ("", []),
    ],
)
def test_the_command_line_of_a_unit_is_split(line: str, words: list[str]) -> None:
    assert units.split_words(line) == words


def test_the_command_of_a_stopped_unit_is_read(tmp_path: Path) -> None:
    options = tmp_path / "docker"
    options.write_text('# comment\nDOCKER_OPTS="--icc=false -D"\nEMPTY=\n')
    unit = {
        "ExecStart": [["/usr/sbin/dockerd", "-H", "fd://", "$DOCKER_OPTS", "${EMPTY}", "$MISSING"]],
        "EnvironmentFiles": [f"{options} (ignore_errors=yes)", "/nowhere (ignore_errors=yes)"],
    }
    assert units.command_line(unit) == ["/usr/sbin/dockerd", "-H", "fd://", "--icc=false", "-D", ""]
    assert units.command_line({"ExecStart": [], "EnvironmentFiles": []}) == []


def test_a_command_line_is_expanded_as_systemd_does(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("HOST=tcp://0.0.0.0:2375\n")
    (tmp_path / "b.env").write_text('MORE="--label a=1 \\\n --debug"\n')
    shown = (
        "Id=docker.service\nLoadState=loaded\n"
        "Environment=\"DOCKER_OPTS=-H 'unix:///a b'\" TOKEN=secret HOST=unused\n"
        "ExecStart={ path=/d ; argv[]=/d --host=${HOST} $DOCKER_OPTS -H$HOST $$x $MORE ; ignore_errors=no }\n"
        f"EnvironmentFiles={tmp_path}/*.env (ignore_errors=no)\n"
    )
    unit = units.parse(shown)["docker.service"]
    assert "secret" not in str(unit)
    told = [
        "/d",
        "--host=tcp://0.0.0.0:2375",
        "-H",
        "unix:///a b",
        "-H$HOST",
        "$x",
        "--label",
        "a=1",
        "--debug",
    ]
    assert units.command_line(unit) == told
    assert "Variables" not in redacted_units({"docker.service": unit}, Redactor())["docker.service"]


def test_custom_socket_units_that_start_the_engine_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def run(*command: str) -> str:
        asked.append(command[command.index("--") + 1 :])
        if "docker.service" in command:
            return (
                "Id=docker.service\nTriggeredBy=docker.socket docker-tcp.socket x.timer\n\nId=docker.socket\n"
            )
        return "Id=docker-tcp.socket\nLoadState=loaded\nListen=[::]:2375 (Stream)\n"

    monkeypatch.setattr("os.path.isdir", lambda _: True)
    monkeypatch.setattr(units, "run", run)
    assert units.listens(units.read()) == ["[::]:2375"]
    assert asked == [units.NAMES, ("docker-tcp.socket",)]


def test_a_host_without_systemd_has_no_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.isdir", lambda _: False)
    with pytest.raises(Absent):
        units.read()
