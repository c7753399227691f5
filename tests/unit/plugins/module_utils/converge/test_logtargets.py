from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import logtargets
from ansible_collections.hardener.docker.plugins.module_utils.converge.logtargets import problem


def closed(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as used:
        used.bind(("127.0.0.1", 0))
        return int(used.getsockname()[1])


def test_a_tcp_log_target_that_refuses_the_connection_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert problem("syslog", {"syslog-address": f"tcp://127.0.0.1:{port}"}) == ""
        assert problem("gelf", {"gelf-address": f"tcp://127.0.0.1:{port}"}) == ""
        assert problem("fluentd", {"fluentd-address": f"127.0.0.1:{port}"}) == ""
        assert problem("splunk", {"splunk-url": f"http://127.0.0.1:{port}/collector"}) == ""
    assert "Connection refused" in problem("syslog", {"syslog-address": f"tcp://127.0.0.1:{port}"})


def test_the_test_message_over_udp_has_the_format_of_its_log_driver() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        port = receiver.getsockname()[1]
        assert problem("syslog", {"syslog-address": f"udp://127.0.0.1:{port}"}) == ""
        assert receiver.recv(1000).startswith(b"<46>1 ")
        assert problem("gelf", {"gelf-address": f"udp://127.0.0.1:{port}"}) == ""
        assert json.loads(receiver.recv(1000))["version"] == "1.1"


def test_a_closed_udp_port_is_reported() -> None:
    port = closed(socket.SOCK_DGRAM)
    found = problem("syslog", {"syslog-address": f"udp://127.0.0.1:{port}"})
    assert found == f"syslog cannot reach udp://127.0.0.1:{port}: Connection refused"


def test_a_missing_ca_file_of_a_log_target_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.listen()
        port = listener.getsockname()[1]
        found = problem(
            "syslog", {"syslog-address": f"tcp+tls://127.0.0.1:{port}", "syslog-tls-ca-cert": "/nowhere"}
        )
    assert "No such file" in found


def test_the_local_syslog_socket_may_be_a_stream_or_datagram_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logtargets, "_LOCAL_SYSLOG", (str(tmp_path / "log"),))
    assert "this host has no syslog" in problem("syslog", {})
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_UNIX, kind) as log:
            log.bind(str(tmp_path / "log"))
            if kind is socket.SOCK_STREAM:
                log.listen()
            assert problem("syslog", {}) == ""
        assert "nothing accepts logs at unix://" in problem("syslog", {})
        (tmp_path / "log").unlink()
    assert "No such file" in problem("syslog", {"syslog-address": f"unixgram://{tmp_path}/log"})


@pytest.mark.parametrize(
    ("driver", "options", "reason"),
    [
        ("gelf", {}, "has to begin with udp://, tcp://"),
        ("syslog", {"syslog-address": "tcp://"}, "names no host"),
        ("syslog", {"syslog-address": "tcp://x:port"}, "is not an address"),
        ("syslog", {"syslog-address": "tcp://127.0.0.1:99999"}, "is not an address"),
        ("syslog", {"syslog-address": "tcp://127.0.0.1:0"}, "is not an address"),
        ("splunk", {"splunk-url": "splunk.example.org"}, "has to begin with http://"),
        ("syslog", {"syslog-address": "tcp://log.invalid"}, "syslog cannot reach tcp://log.invalid:514"),
    ],
)
def test_an_invalid_address_is_reported(driver: str, options: dict[str, str], reason: str) -> None:
    assert reason in problem(driver, options)


def test_targets_of_unknown_drivers_are_not_checked() -> None:
    assert problem("awslogs", {"awslogs-region": "eu-central-1"}) == ""
    assert problem("json-file", {}) == ""
