from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker.engine import Engine
from ansible_collections.hardener.docker.plugins.module_utils.host import processes
from ansible_collections.hardener.docker.plugins.module_utils.snapshot import enginestate, paths, sockets
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.filestat import Files


def engine(flags: dict[str, list[str]] | None = None, parsed: Any = None, **more: Any) -> Engine:
    made = Engine()
    made.flags = flags or {}
    made.config = {"path": "/etc/docker/daemon.json", "parsed": parsed}
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_every_api_socket_is_collected() -> None:
    units = {"docker.socket": {"Listen": ["/run/docker.sock (Stream)", "127.0.0.1:2375 (Stream)"]}}
    told = engine(
        {"host": ["fd://", "unix:///srv/a.sock", "tcp://0.0.0.0:1"]}, {"hosts": ["unix:///srv/b.sock", 7]}
    )
    assert paths.api_sockets(told, units) == ["/srv/a.sock", "/srv/b.sock", "/run/docker.sock"]


def test_every_folder_above_a_socket_or_key_of_the_api_is_collected(tmp_path: Path) -> None:
    real = tmp_path / "real" / "deep"
    real.mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)
    flags = {"host": [f"unix://{tmp_path}/link/a.sock"], "tlskey": [f"{tmp_path}/link/key.pem"]}
    files = Files()
    paths.look(files, engine(flags), units={}, root="", containerd_socket=None, devices=[])
    assert {str(each) for each in (real, real.parent, tmp_path, tmp_path / "link")} <= files.records.keys()


@pytest.mark.parametrize(
    ("flags", "parsed", "folders"),
    [
        ({}, None, ["/etc/cdi", "/var/run/cdi"]),
        ({"cdi-spec-dir": ["/a", "/b"]}, {"cdi-spec-dirs": ["/c"]}, ["/a", "/b"]),
        ({}, {"cdi-spec-dirs": ["/c", "relative", 7]}, ["/c"]),
        ({}, {"cdi-spec-dirs": "/c"}, ["/etc/cdi", "/var/run/cdi"]),
    ],
)
def test_folders_of_cdi_descriptions_are_collected(flags: Any, parsed: Any, folders: list[str]) -> None:
    assert paths.cdi_folders(engine(flags, parsed)) == folders


@pytest.mark.parametrize(
    ("flags", "parsed", "places"),
    [
        ({}, None, ["/usr/libexec/docker/nri-plugins", "/etc/docker/nri/conf.d"]),
        ({}, {"nri-opts": {"enable": True, "plugin-path": "/p"}}, ["/p", "/etc/docker/nri/conf.d"]),
        (
            {"nri-opts": ["enable=true,socket-path=/run/n.sock"]},
            None,
            ["/usr/libexec/docker/nri-plugins", "/etc/docker/nri/conf.d", "/run/n.sock"],
        ),
        ({}, {"nri-opts": [1]}, ["/usr/libexec/docker/nri-plugins", "/etc/docker/nri/conf.d"]),
    ],
)
def test_plugin_folders_are_collected(flags: Any, parsed: Any, places: list[str]) -> None:
    assert paths.nri_places(engine(flags, parsed)) == places


def test_extension_folders_of_the_engine_are_collected(tmp_path: Path) -> None:
    real, cdi = tmp_path / "real", tmp_path / "cdi"
    (real / "vendor").mkdir(parents=True)
    (real / "gpu.yaml").write_text("")
    cdi.symlink_to(real)
    root, run = tmp_path / "data", tmp_path / "run"
    for folder in (root / "volumes", run):
        folder.mkdir(parents=True)
    told = engine({"cdi-spec-dir": [str(cdi)], "exec-root": [str(run)], "pidfile": [str(run / "pid")]})
    files = Files()
    paths.look(files, told, units={}, root=str(root), containerd_socket=None, devices=[])
    record = files.records[str(cdi)]
    assert record is not None
    assert record["target"] == str(real)
    for path in (cdi / "gpu.yaml", cdi / "vendor", tmp_path, root / "volumes", run):
        assert files.records[str(path)] is not None, path
    assert files.records[str(run / "pid")] is None


def entry(port: int, inode: int = 1) -> dict[str, Any]:
    return {"proto": "tcp", "address": "127.0.0.1", "port": port, "inode": inode, "uid": 0}


class Held(sockets.Holders):
    """Sockets of any process."""

    def held(self, pid: int) -> set[int]:
        return {1}


def test_an_api_socket_in_another_network_namespace_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "namespace", lambda pid, kind: "apart" if pid == 7 else "host")
    monkeypatch.setattr(sockets, "listening", lambda pid: [entry(2375), entry(9000, inode=2)])
    found = enginestate._listening(engine(pid=7), {}, {}, [entry(22)], Held(), relays={})
    assert found == [{"address": "127.0.0.1", "port": 2375, "process": "dockerd"}]


@pytest.mark.parametrize(
    ("comm", "argv", "process"),
    [
        (
            "systemd-socket-",
            ["/lib/systemd/systemd-socket-proxyd", "/run/docker.sock"],
            "systemd-socket-proxyd",
        ),
        ("socat", ["socat", "TCP-LISTEN:2375,fork", "UNIX-CONNECT:/var/run/docker.sock"], "socat"),
        ("socat", ["socat", "TCP-LISTEN:2375,fork", "UNIX-CONNECT:/run/other.sock"], ""),
        ("nginx", ["nginx", "/run/docker.sock"], ""),
    ],
)
def test_programs_that_forward_the_api_are_found_in_any_namespace(
    monkeypatch: pytest.MonkeyPatch, comm: str, argv: list[str], process: str
) -> None:
    monkeypatch.setattr(processes, "argv", lambda pid: argv)
    monkeypatch.setattr(sockets, "listening", lambda pid: [entry(2375)])
    monkeypatch.setattr(os.path, "realpath", lambda path: path)
    relays = dict(enginestate._relays(engine(socket="/run/docker.sock"), {9: comm}))
    found = enginestate._passed_on(relays, Held())
    assert [name for _, name in found] == ([process] if process else [])
