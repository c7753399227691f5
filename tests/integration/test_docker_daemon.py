"""docker_daemon and seccomp against a real engine, in what needs no systemd."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker.keys import declared

from tests.integration.converging import Host
from tests.integration.dockerd import Dockerd
from tests.integration.sshd import free_port
from tests.leftovers import PLUGINS, name
from tests.unit.plugins.loading import COLLECTIONS, action, render
from tests.unit.plugins.module_utils.converge.answering import answering


@pytest.fixture
def engine() -> Iterator[Dockerd]:
    with Dockerd(flags=("--iptables=false", "--bridge=none")) as started:
        yield started


def serving(engine: Dockerd) -> dict[str, Any]:
    """The engine's own document, as the role makes it."""
    return {
        "name": "docker_daemon",
        "activations": [{"name": "docker", "when": [str(engine.config_file)]}],
    }


def wish(engine: Dockerd, keys: dict[str, Any]) -> dict[str, Any]:
    config = str(engine.config_file)
    return {
        "resources": [{"kind": "json", "path": config, "keys": keys}],
        "activations": [*serving(engine)["activations"]],
    }


def converge(host: Host, engine: Dockerd, keys: dict[str, Any]) -> dict[str, Any]:
    wanted = wish(engine, keys)
    return host.converge(*wanted["resources"], activations=wanted["activations"], socket=engine.socket)


# --- TLS ----------------------------------------------------------------------------------------------------


def ping(port: int, context: ssl.SSLContext | None) -> int:
    """Status that the API on a port answers with."""
    connection = (
        http.client.HTTPSConnection("localhost", port, timeout=10, context=context)
        if context
        else http.client.HTTPConnection("localhost", port, timeout=10)
    )
    try:
        connection.request("GET", "/_ping")
        return connection.getresponse().status
    finally:
        connection.close()


def test_only_clients_with_an_issued_certificate_are_accepted(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    address = f"127.0.0.1:{port}"
    flags = ("--iptables=false", "--bridge=none", f"--host=tcp://{address}")
    store = tmp_path / "control-node"
    action("daemon_certificates").make(store, host="web1", names=["localhost", "127.0.0.1"], days=90)
    variables = {"tls": True, "tls_files": {}, "tls_directory": str(store), "host": "web1"}
    with Dockerd(flags=flags) as engine:
        assert ping(port, None) == 200  # what it is all about
        engine.stop()
        snapshot = {
            "sources": {
                "engine": {"state": "ok", "data": {"installed": True}},
                "daemon.config": {
                    "state": "ok",
                    "data": {
                        "path": str(engine.config_file),
                        "declared": {"hosts": {"value": [f"tcp://{address}"], "origin": "--host"}},
                    },
                },
            }
        }
        role = render("docker_daemon_tls")
        folder = tmp_path / "tls"
        for key, path in dict(role._OURS).items():
            monkeypatch.setitem(role._OURS, key, path.replace(role.FOLDER, str(folder)))

        def run(**more: Any) -> dict[str, Any]:
            """Converge the role's document, as the action delivers it."""
            (document,) = role.documents(snapshot, variables)
            for resource in document["resources"]:
                if "content_from" in resource:
                    resource["content"] = Path(resource.pop("content_from")).read_text()
            request = {"allow": "connectivity", "socket": str(engine.socket), **more}
            return host.converge_all([serving(engine), document], **request)

        # The engine does not run, so that nobody has to restart it here.
        done = run(service=engine.command)
        assert done["outcome"] == "changed", done
        assert (folder / "key.pem").stat().st_mode & 0o7777 == 0o400
        assert not any(
            "PRIVATE KEY" in line or "MIG" in line for line in json.dumps(done["diff"]).split("\\n")
        )
        engine.start()

        known = ssl.create_default_context(cafile=str(store / "client/ca.pem"))
        known.load_cert_chain(store / "client/cert.pem", store / "client/key.pem")
        assert ping(port, known) == 200
        client = ["docker", "--tlsverify", f"--host=tcp://{address}", "info", "--format={{.ServerVersion}}"]
        environment = {"PATH": os.environ["PATH"], "DOCKER_CERT_PATH": str(store / "client")}
        info = subprocess.run(client, check=False, capture_output=True, text=True, env=environment)
        assert info.stdout.strip() == engine.api("GET", "/info")["ServerVersion"], info.stderr
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            ping(port, ssl.create_default_context(cafile=str(store / "client/ca.pem")))
        strangers = action("daemon_certificates")
        strangers.make(tmp_path / "strangers", host="x", names=["x"], days=90)
        stranger = ssl.create_default_context(cafile=str(store / "client/ca.pem"))
        stranger.load_cert_chain(
            tmp_path / "strangers/client/cert.pem", tmp_path / "strangers/client/key.pem"
        )
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            ping(port, stranger)
        assert ping(port, None) == 400  # an HTTP request to an HTTPS server

        # With the engine up, the transaction looks at the socket itself.
        assert run()["outcome"] == "unchanged"
        engine.stop()
        engine.configure({})
        engine.start()
        again = run()
        assert again["outcome"] == "refused"
        assert "has to be restarted" in again["reason"]


def test_certificates_that_do_not_match_are_refused(host: Host, engine: Dockerd, tmp_path: Path) -> None:
    make = action("daemon_certificates").make
    one = make(tmp_path / "one", host="x", names=["x"], days=90).paths()
    other = make(tmp_path / "other", host="x", names=["x"], days=90).paths()
    keys = {"tlsverify": True, "tlscacert": one["ca"], "tlscert": one["cert"], "tlskey": other["key"]}
    before = engine.config_file.read_bytes()
    result = converge(host, engine, keys)
    assert (result["outcome"], engine.config_file.read_bytes()) == ("refused", before)
    assert "tlscert and tlskey do not match" in result["reason"]


def play(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The role by plain ansible-playbook, on an engine that is not up; /var/lib and /etc are its own."""
    data = {
        "engine": {"installed": True, "socket": str(tmp_path / "none.sock")},
        "daemon.config": {
            "path": "/etc/docker/daemon.json",
            "declared": {"hosts": {"value": ["tcp://0.0.0.0:2375"], "origin": "--host"}},
        },
        "system": {"hostname": "web1"},
    }
    snapshot = {
        "host": "{{ inventory_hostname }}",
        "sources": {name: {"state": "ok", "data": each} for name, each in data.items()},
    }
    wanted = {"documents": "{{ converge_pending }}", "only": ["docker_daemon_tls"], "allow": "connectivity"}
    variables = {"converge_defer": True, "docker_daemon_tls_directory": str(tmp_path / "control-node")}
    steps = {
        "hosts": "all",
        "gather_facts": False,
        "vars": variables,
        "pre_tasks": [{"name": "Know", "set_fact": {"collect_result": {"facts": snapshot}}}],
        "roles": ["hardener.docker.converge", "hardener.docker.docker_daemon"],
        "tasks": [{"name": "Converge", "hardener.docker.converge": wanted}],
    }
    (tmp_path / "play.yml").write_text(json.dumps([steps]))
    for folder in ("var-lib", "etc-docker"):
        (tmp_path / folder).mkdir(exist_ok=True)
    mounts = 'mount --bind "$0/var-lib" /var/lib && mount --bind "$0/etc-docker" /etc/docker && exec "$@"'
    return subprocess.run(
        [
            # Engines of other tests are none of this host's.
            *("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--propagation=private"),
            *("sh", "-c", mounts, str(tmp_path)),
            str(Path(sys.executable).with_name("ansible-playbook")),
            "--inventory=localhost,",
            "--connection=local",
            "--extra-vars=ansible_python_interpreter=/usr/bin/python3",
            *options,
            str(tmp_path / "play.yml"),
        ],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_NOCOLOR": "1"},
        cwd=tmp_path,
    )


def test_a_private_key_appears_in_no_output(tmp_path: Path) -> None:
    predicted = play(tmp_path, "--check", "--diff", "-vvv")
    assert predicted.returncode == 0, predicted.stdout + predicted.stderr
    assert list((tmp_path / "etc-docker").iterdir()) == []
    key = (tmp_path / "control-node/servers/localhost-key.pem").read_text()
    done = play(tmp_path, "--diff", "-vvv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "etc-docker/tls/key.pem").read_text() == key  # made once, in the plan
    secret = key.splitlines()[1]
    client = (tmp_path / "control-node/client/key.pem").read_text().splitlines()[1]
    authority = (tmp_path / "control-node/ca-key.pem").read_text().splitlines()[1]
    for output in (predicted.stdout, predicted.stderr, done.stdout, done.stderr):
        assert not any(each in output for each in (secret, client, authority, "PRIVATE KEY"))
    assert "+a secret" in done.stdout
    assert not any(client in path.read_text() for path in (tmp_path / "etc-docker").rglob("*.*"))
    assert "changed=0" in play(tmp_path).stdout


def test_several_changed_keys_are_applied_by_one_reload(host: Host) -> None:
    former: dict[str, Any] = {"insecure-registries": ["10.0.0.0/8"], "debug": True}
    with Dockerd(config=former, flags=("--iptables=false", "--bridge=none")) as engine:
        container = engine.run("web", host_config={"NetworkMode": "none"})
        pid = engine.api("GET", f"/containers/{container}/json")["State"]["Pid"]
        decisions = {
            "live_restore": ({"live-restore": True}, {"LiveRestoreEnabled": True}),
            "insecure_registries": ({"insecure-registries": []}, {}),
            "debug": ({"debug": False}, {"Debug": False}),
            "extra": ({"labels": ["site=here"]}, {}),
        }
        documents = [serving(engine)]
        for name, (keys, info) in decisions.items():
            resource = {"kind": "json", "path": str(engine.config_file), "keys": keys}
            expect = {"name": "docker", "when": [str(engine.config_file)], "expect": {"info": info}}
            losses = former["insecure-registries"] if name == "insecure_registries" else []
            fields = {"impact": "reload", "losses": losses, "resources": [resource]}
            documents.append({"name": name, **fields, "activations": [expect]})
        done = host.converge_all(documents, socket=str(engine.socket))
        assert done["outcome"] == "changed", done
        assert {each["state"] for each in done["documents"]} == {"change"}
        assert [each["action"] for each in done["activations"]] == ["reload docker"]
        info = engine.api("GET", "/info")
        assert (info["LiveRestoreEnabled"], info["Debug"], info["Labels"]) == (True, False, ["site=here"])
        assert "10.0.0.0/8" not in info["RegistryConfig"]["InsecureRegistryCIDRs"]
        assert engine.api("GET", f"/containers/{container}/json")["State"]["Pid"] == pid
        assert host.converge_all(documents, socket=str(engine.socket))["outcome"] == "unchanged"


# --- what the engine depends on -----------------------------------------------------------------------------


@contextmanager
def plugin(path: Path, *, allow: bool) -> Iterator[None]:
    """An authorisation plugin that answers."""

    def answer(connection: socket.socket) -> None:
        asked = connection.recv(65536).split()[1]
        found = {"Implements": ["authz"]} if asked == b"/Plugin.Activate" else {"Allow": allow}
        body = json.dumps(found).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    path.parent.mkdir(parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    with answering(listener, answer):
        try:
            yield
        finally:
            path.unlink()


def test_an_authorization_plugin_that_is_missing_or_denies_requests_is_refused(
    host: Host, engine: Dockerd
) -> None:
    called = f"{name('plugin')}authz"
    keys = {"authorization-plugins": [called]}
    result = converge(host, engine, keys)
    assert f"there is no plugin {called}; the engine would not start" in result["reason"]
    path = PLUGINS / f"{called}.sock"
    with plugin(path, allow=False):
        assert "refuses GET /info" in converge(host, engine, keys)["reason"]
    with plugin(path, allow=True):
        assert "has to be restarted" in converge(host, engine, keys)["reason"]  # it passed
        engine.stop()
        engine.configure(keys)
        engine.start()  # and the engine agrees
        assert engine.api("GET", "/info")["Plugins"]["Authorization"] == [called]
        engine.stop()  # it would ask the plugin about everything, and wait for it


def test_an_unreachable_log_target_is_refused(host: Host, engine: Dockerd) -> None:
    port = free_port()

    def syslog(scheme: str) -> dict[str, Any]:
        address = f"{scheme}://127.0.0.1:{port}"
        return {"log-driver": "syslog", "log-opts": {"syslog-address": address}}

    for scheme in ("tcp", "udp"):
        assert "Connection refused" in converge(host, engine, syslog(scheme))["reason"]
    with socket.create_server(("127.0.0.1", port)):
        assert "has to be restarted" in converge(host, engine, syslog("tcp"))["reason"]


def test_a_key_that_needs_a_later_engine_is_refused_with_the_needed_version(
    host: Host, engine: Dockerd
) -> None:
    result = converge(host, engine, {"default-stop-timeout": 10})
    assert "and knows this key from 29.7 on" in result["reason"]


def test_a_seccomp_profile_that_containers_would_not_start_with_is_refused(
    host: Host, engine: Dockerd, tmp_path: Path
) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text(
        '{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "ALLOW"}]}'
    )
    result = converge(host, engine, {"seccomp-profile": str(profile)})
    assert result["outcome"] == "refused"
    assert "has the unknown action 'ALLOW' (syscalls[0])" in result["reason"]


def test_a_custom_seccomp_profile_is_replaced_by_the_built_in_one(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = render("seccomp")
    monkeypatch.setattr(role, "FILE", str(tmp_path / "seccomp.json"))
    site = json.dumps(
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}
    )

    with Dockerd(flags=("--iptables=false", "--bridge=none")) as engine:

        def run(content: str) -> dict[str, Any]:
            """The role on the engine as it is, stopped for the restart that nobody could do here."""
            told = declared(json.loads(engine.config_file.read_text()), {})
            info = engine.api("GET", "/info")
            data = {
                "engine": {"installed": True, "socket": str(engine.socket)},
                "daemon.config": {"path": str(engine.config_file), "declared": told},
                "docker.info": info,
                "lsm": {"seccomp": True},
            }
            snapshot = {"sources": {name: {"state": "ok", "data": each} for name, each in data.items()}}
            profile = {"profile": "site.json" if content else "", "content": content}
            documents = role.documents(snapshot, profile)
            engine.stop()
            done = host.converge_all(documents, service=engine.command)
            engine.start()
            again = host.converge_all(documents, socket=str(engine.socket))
            assert again["outcome"] == "unchanged", again
            return done

        def makes_folders() -> bool:
            container = engine.run(command=["mkdir", "/x"], host_config={"NetworkMode": "none"})
            return bool(engine.api("POST", f"/containers/{container}/wait")["StatusCode"] == 0)

        assert makes_folders()
        done = run(site)
        assert done["outcome"] == "changed", done
        assert any("allows every call that it does not name" in note for note in done["notes"])
        assert f"name=seccomp,profile={role.FILE}" in engine.api("GET", "/info")["SecurityOptions"]
        assert not makes_folders()
        assert run("")["outcome"] == "changed"
        assert "name=seccomp,profile=builtin" in engine.api("GET", "/info")["SecurityOptions"]
        assert makes_folders()


def test_a_container_without_a_filter_gets_one_only_when_it_is_recreated() -> None:
    """What the role tells those who run such containers."""

    def filtered(engine: Dockerd) -> bool:
        pid = engine.api("GET", "/containers/app/json")["State"]["Pid"]
        return "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()

    flags = ("--iptables=false", "--bridge=none")
    with Dockerd(config={"seccomp-profile": "unconfined", "live-restore": True}, flags=flags) as engine:
        engine.ensure_image()
        engine.run("app", host_config={"NetworkMode": "none"})
        engine.stop()
        engine.configure({})
        engine.start()
        engine.api("POST", "/containers/app/restart?t=0")
        assert not filtered(engine)
        engine.api("DELETE", "/containers/app?force=1")
        engine.run("app", host_config={"NetworkMode": "none"})
        assert filtered(engine)
