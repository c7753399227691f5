from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.render import docker_daemon_tls
from cryptography import x509

from hardener.model import Status
from hardener.snapshot import Snapshot
from tests.unit.plugins.loading import action
from tests.unit.plugins.module_utils.render.rendering import verdicts
from tests.unit.snapshots import make, no_engine, only

VARIABLES = {"tls": True, "tls_files": {}, "tls_names": [], "tls_directory": "/c/web1"}
INVENTORY = {"host": "web1", "address": "192.0.2.10"}
OURS: dict[str, Any] = {
    "tlscacert": "/etc/docker/tls/ca.pem",
    "tlscert": "/etc/docker/tls/cert.pem",
    "tlskey": "/etc/docker/tls/key.pem",
}
SITE = {"ca": "/pki/ca.pem", "cert": "/pki/cert.pem", "key": "/pki/key.pem"}


def documents(snapshot: Snapshot, **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = docker_daemon_tls.documents(
        snapshot.raw, {**VARIABLES, **INVENTORY, **more}
    )
    return found


def names(snapshot: Snapshot, **more: Any) -> list[str]:
    found: list[str] = docker_daemon_tls.names(snapshot.raw, {**VARIABLES, **INVENTORY, **more})
    return found


def open_by(*hosts: str, flags: dict[str, list[str]] | None = None, **parsed: Any) -> Snapshot:
    config = {"parsed": only(parsed), "exists": True, "flags": {"host": list(hosts), **(flags or {})}}
    return make(**{"daemon.config": config})


def test_without_a_tcp_socket_no_certificates_are_made() -> None:
    for snapshot in (make(), no_engine(), open_by("fd://"), open_by("unix:///run/d.sock")):
        assert documents(snapshot) == []
        assert names(snapshot) == []


@pytest.mark.parametrize(
    ("snapshot", "address"),
    [
        (open_by("fd://", "tcp://0.0.0.0:2375"), "0.0.0.0:2375"),
        (open_by("tcp://[2001:db8::1]:2375"), "[2001:db8::1]:2375"),
        (open_by("192.0.2.10:4000"), "192.0.2.10:4000"),
        (open_by("tcp://192.0.2.10"), "192.0.2.10:2376"),  # the engine's own default, with TLS
        (make(**{"daemon.config": {"parsed": only({"hosts": ["tcp://:2375"]}), "flags": only({})}}), ":2375"),
        (
            make(
                **{
                    "daemon.config": {"flags": {"host": ["fd://"]}},
                    "units": {
                        "docker.socket": {"Listen": ["/run/docker.sock (Stream)", "[::]:2375 (Stream)"]}
                    },
                }
            ),
            "[::]:2375",
        ),
    ],
)
def test_a_tcp_socket_is_found_in_every_declaration(snapshot: Snapshot, address: str) -> None:
    (found,) = documents(snapshot)
    (docker,) = found["activations"]
    assert docker["expect"] == {"guarded": [address]}
    assert found["impact"] == "connectivity"
    assert f"tcp://{address} without a certificate" in found["costs"]


def test_the_document_satisfies_the_control_and_shows_no_key() -> None:
    (found,) = documents(open_by("tcp://0.0.0.0:2375"))
    config, *files = found["resources"]
    assert config["keys"] == {"tlsverify": True, **OURS}
    assert {file["path"]: file["mode"] for file in files} == {
        OURS["tlscacert"]: "0444",
        OURS["tlscert"]: "0444",
        OURS["tlskey"]: "0400",
    }
    assert [file["path"] for file in files if file.get("secret")] == [OURS["tlskey"]]
    assert all("content" not in file for file in files)
    assert set(found["activations"][0]["when"]) == {"/etc/docker/daemon.json", *OURS.values()}
    assert "/c/web1/client" in found["notes"][0]
    listening = {"engine": {"listening": [{"address": "0.0.0.0", "port": 2375, "process": "dockerd"}]}}
    flags = {"host": ["tcp://0.0.0.0:2375"]}
    before = {"daemon.config": {"parsed": only({}), "flags": flags}}
    after = {"daemon.config": {"parsed": only(config["keys"]), "flags": flags}}
    assert verdicts(make(**before, **listening), "daemon-tls")["daemon-tls-verify"] is Status.FAIL
    assert verdicts(make(**after, **listening), "daemon-tls")["daemon-tls-verify"] is Status.PASS


def test_renewing_certificates_needs_a_daemon_restart() -> None:
    (found,) = documents(open_by("tcp://0.0.0.0:2375", tlsverify=True, **OURS))
    assert (found["impact"], found["costs"]) == ("daemon-restart", "")


def test_certificates_of_the_site_are_used_instead_of_generated_ones() -> None:
    snapshot = open_by("tcp://0.0.0.0:2375")
    (found,) = documents(snapshot, tls_files=SITE)
    (config,) = found["resources"]
    assert config["keys"] == {
        "tlsverify": True,
        "tlscacert": "/pki/ca.pem",
        "tlscert": "/pki/cert.pem",
        "tlskey": "/pki/key.pem",
    }
    assert names(snapshot, tls_files=SITE) == []
    (refused,) = documents(snapshot, tls_files={"ca": "/pki/ca.pem"})
    assert "needs ca, cert and key" in refused["refused"]


@pytest.mark.parametrize(
    "snapshot",
    [
        open_by("tcp://:2376", tlsverify=True, tlscacert="/a", tlscert="/b", tlskey="/c"),
        open_by("tcp://:2376", flags={"tlsverify": ["true"]}),
        open_by("tcp://:2376", flags={"tlsverify": ["true"], "tlscacert": ["/a"]}),
    ],
)
def test_tls_settings_of_the_site_are_kept(snapshot: Snapshot) -> None:
    assert documents(snapshot) == []
    assert names(snapshot) == []


@pytest.mark.parametrize("flags", [{"tls": ["true"]}, {"tlsverify": ["false"]}, {"tlscert": ["/x"]}])
def test_flags_that_admit_every_client_are_refused(flags: dict[str, list[str]]) -> None:
    (refused,) = documents(open_by("tcp://:2375", flags=flags))
    assert f"sets --{next(iter(flags))}, and the engine accepts clients" in refused["refused"]


def test_incomplete_tls_settings_are_replaced() -> None:
    assert documents(open_by("tcp://:2376", tlsverify=True, tlscert="/b", tlskey="/c"))
    assert documents(open_by("tcp://:2376", tls=True, tlscacert="/a", tlscert="/b", tlskey="/c"))


def test_tls_can_be_disabled_by_the_site() -> None:
    assert documents(open_by("tcp://:2375"), tls=False) == []
    assert names(open_by("tcp://:2375"), tls=False) == []


def test_the_certificate_has_every_name_of_the_host() -> None:
    hostname = make().fact("system")["hostname"]
    assert names(open_by("tcp://192.0.2.77:2375", "tcp://0.0.0.0:2376")) == [
        "web1",
        "192.0.2.10",
        "192.0.2.77",
        hostname,
        "localhost",
        "127.0.0.1",
        "::1",
    ]


def test_names_from_the_host_are_not_signed_by_a_shared_authority() -> None:
    found = names(open_by("tcp://192.0.2.77:2375"), tls_directory="/c/shared")
    assert found == ["web1", "192.0.2.10", "localhost", "127.0.0.1", "::1"]


# --- making them --------------------------------------------------------------------------------------------


def certify(folder: Path, host: str = "web1", **more: Any) -> Any:
    given = {"names": ["web1", "192.0.2.10", "::1"], "days": 397, **more}
    return action("daemon_certificates").make(folder, host=host, **given)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.pem")}


def test_keys_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "tls"
    made = certify(folder)
    assert made.new == ("authority", "server", "client")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*key.pem")}
    assert modes == {"ca-key.pem": 0o600, "web1-key.pem": 0o600, "key.pem": 0o600}
    assert {
        stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "client", folder / "servers")
    } == {0o700}
    assert {Path(path).exists() for path in made.paths().values()} == {True}


def test_valid_certificates_are_kept(tmp_path: Path) -> None:
    certify(tmp_path)
    before = contents(tmp_path)
    assert certify(tmp_path).new == ()
    assert contents(tmp_path) == before
    assert certify(tmp_path, names=["192.0.2.10"]).new == ()  # it has more names than are wanted


def test_a_new_name_renews_only_the_hosts_certificate(tmp_path: Path) -> None:
    certify(tmp_path)
    before = contents(tmp_path)
    assert certify(tmp_path, names=["web1", "new.example.org"]).new == ("server",)
    after = contents(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {
        "servers/web1.pem",
        "servers/web1-key.pem",
    }


def test_hosts_with_one_folder_share_authority_and_client(tmp_path: Path) -> None:
    certify(tmp_path)
    assert certify(tmp_path, host="web2/../x").new == ("server",)
    assert {path.name for path in (tmp_path / "servers").iterdir()} == {
        "web1.pem",
        "web1-key.pem",
        "web2%2F..%2Fx.pem",
        "web2%2F..%2Fx-key.pem",
    }


def test_a_certificate_is_renewed_in_its_last_month(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certify(tmp_path)
    module = action("daemon_certificates")

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(UTC) + timedelta(days=370)

    monkeypatch.setattr(module, "datetime", Later)
    assert certify(tmp_path).new == ("server", "client")


def test_an_authority_without_its_key_is_not_replaced(tmp_path: Path) -> None:
    certify(tmp_path)
    (tmp_path / "ca-key.pem").unlink()
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"put the right key back, or remove ca\.pem to make a new"):
        certify(tmp_path)
    assert contents(tmp_path) == before
    (tmp_path / "ca.pem").unlink()
    assert certify(tmp_path).new == ("authority", "server", "client")


def test_certificates_have_their_key_usage(tmp_path: Path) -> None:
    made = certify(tmp_path)
    server = x509.load_pem_x509_certificate(Path(made.paths()["cert"]).read_bytes())
    client = x509.load_pem_x509_certificate((tmp_path / "client/cert.pem").read_bytes())
    ca = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())

    def usage(certificate: x509.Certificate) -> list[str]:
        extension = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        return [each._name for each in extension.value]

    assert (usage(server), usage(client)) == (["serverAuth"], ["clientAuth"])
    constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    days = (server.not_valid_after_utc - server.not_valid_before_utc).days
    assert days == 397
    context = ssl.create_default_context(cafile=str(tmp_path / "client/ca.pem"))
    context.load_cert_chain(tmp_path / "client/cert.pem", tmp_path / "client/key.pem")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"names": ["web 1"]}, "'web 1' is neither an address nor a name"),
        ({"names": ["-x"]}, "neither"),
        ({"days": 30}, "days is 30: it must be from 31 to 3650"),
    ],
)
def test_an_invalid_name_or_duration_of_a_certificate_is_refused(
    tmp_path: Path, more: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        certify(tmp_path, **more)
