from __future__ import annotations

import os
import socket

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import sockets

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 4711 1 0000 100 0
   1: 0100007F:0CEA 0100007F:9C40 01 00000000:00000000 00:00000000 00000000   101        0 4712 1 0000 100 0
   2: garbage
"""


def test_only_listening_sockets_are_read() -> None:
    assert sockets.parse(TCP, "tcp") == [
        {"proto": "tcp", "address": "127.0.0.1", "port": 3306, "uid": 101, "inode": 4711}
    ]


def test_addresses_of_sockets_are_decoded() -> None:
    assert sockets.decode_address("00000000") == "0.0.0.0"
    assert sockets.decode_address("0" * 32) == "::"
    assert sockets.decode_address("00000000000000000000000001000000") == "::1"
    assert sockets.decode_address("0000000000000000FFFF00000100007F") == "::ffff:127.0.0.1"


def test_a_real_socket_is_found_with_its_process() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram,
    ):
        datagram.bind(("127.0.0.1", 0))
        found = {(entry["proto"], entry["port"]): entry for entry in sockets.listening("self")}
        mine = found["tcp", listener.getsockname()[1]]
        assert (mine["address"], mine["uid"]) == ("127.0.0.1", os.geteuid())
        assert ("udp", datagram.getsockname()[1]) in found
        holders = sockets.Holders()
        assert mine["inode"] in holders.held(os.getpid())
        assert holders.owners([mine["inode"], 1], [1, os.getpid()]) == {mine["inode"]: os.getpid()}


def test_an_ended_process_holds_no_socket() -> None:
    assert sockets.Holders().held(2**30) == set()


def test_sockets_passed_by_systemd_belong_to_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = sockets.parse(TCP, "tcp")
    monkeypatch.setattr(sockets, "listening", lambda _: entry)
    monkeypatch.setattr(sockets, "namespace", lambda *_: None)
    holders = sockets.Holders()
    holders._held = {1: {4711}, 812: {4711}, 900: set()}
    (found,) = sockets.host_listening({1: "systemd", 812: "sshd", 900: "dockerd"}, holders)
    assert (found["pid"], found["process"]) == (812, "sshd")
