from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from tests.unit.plugins.module_utils.render.rendering import documents_of
from tests.unit.snapshots import absent, make, only

documents = documents_of("content_trust")
POLICY = {"registries": [{"prefix": "r.example.com", "nothing": True}]}
OLD, NEW = only({"docker.io": "26.1.5+dfsg1-9"}), only({"docker-ce-cli": "5:29.1.0-1~debian.13"})
PROFILE = "/etc/profile.d/hardener-content-trust.sh"


def found(
    *, packages: Any = OLD, policy: Any = None, snapshot: Any = None, **variables: Any
) -> list[dict[str, Any]]:
    host = snapshot or make(packages={"installed": packages})
    defaults = {"verify": True, "schedule": "daily", "client": True, "server": ""}
    return documents(host.raw, policy=POLICY if policy is None else policy, **{**defaults, **variables})


def paths(document: dict[str, Any]) -> dict[str, Any]:
    return {resource["path"]: resource for resource in document.get("resources", ())}


def test_the_verifier_and_its_timer_are_installed() -> None:
    verify, _ = found()
    resources = paths(verify)
    assert resources["/usr/local/sbin/hardener-pull"]["mode"] == "0755"
    home = "/usr/local/lib/hardener/content_trust/hardener_host"
    assert {f"{home}/__init__.py", f"{home}/trust/chain.py", f"{home}/host/__init__.py"} <= resources.keys()
    assert '"prefix": "r.example.com"' in resources["/etc/hardener/trust.json"]["content"]
    assert "OnCalendar=daily" in resources["/etc/systemd/system/hardener-verify-images.timer"]["content"]
    assert verify["activations"][1]["units"] == {
        "hardener-verify-images.timer": {"enabled": True, "active": True}
    }


def test_installed_programs_are_valid_python() -> None:
    resources = paths(found()[0])
    for name in ("hardener-pull", "hardener-verify-images"):
        compile(resources[f"/usr/local/sbin/{name}"]["content"], name, "exec")


def test_dates_of_the_policy_are_written_as_text() -> None:
    exception = {"image": "r.example.com/old:1", "reason": "soon", "expires": date(2026, 12, 31)}
    verify, _ = found(policy={**POLICY, "exceptions": [exception]})
    assert '"expires": "2026-12-31"' in paths(verify)["/etc/hardener/trust.json"]["content"]


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"policy": {}}, "content_trust_policy: it names no registries"),
        ({"policy": {"registries": [{"prefix": "a b"}]}}, "content_trust_policy: registries"),
        (
            {
                "policy": {
                    "registries": [{"prefix": "r.example.com", "keys": ["-----BEGIN PRIVATE KEY-----\n"]}]
                }
            },
            "content_trust_policy: registries[0].keys must be public keys",
        ),
        ({"schedule": "daily\nUser=x"}, "content_trust_schedule"),
    ],
)
def test_invalid_settings_are_refused_and_others_applied(variables: dict[str, Any], why: str) -> None:
    verify, client = found(**variables)
    assert verify["refused"].startswith(why)
    assert client["resources"]


def test_content_trust_is_set_for_old_clients_in_shells_and_services() -> None:
    _, client = found(server="https://notary.example.com:4443")
    resources = paths(client)
    lines = ["DOCKER_CONTENT_TRUST=1", "DOCKER_CONTENT_TRUST_SERVER=https://notary.example.com:4443"]
    assert resources["/etc/environment"]["lines"] == lines
    assert resources[PROFILE]["content"].endswith("".join(f"export {line}\n" for line in lines))
    drop_in = resources["/etc/systemd/system.conf.d/50-hardener-content-trust.conf"]["content"]
    assert f'DefaultEnvironment="{lines[0]}" "{lines[1]}"' in drop_in
    assert client["activations"][0]["name"] == "systemd-reload"


def test_content_trust_is_not_set_for_new_clients_and_reported() -> None:
    _, client = found(packages=NEW)
    assert {resource["kind"] for resource in client["resources"]} == {"absent"}
    assert "ignores DOCKER_CONTENT_TRUST" in client["notes"][0]


@pytest.mark.parametrize("server", ["http://notary.example.com", "https://x y", 'https://x"\n', "notary"])
def test_an_invalid_server_address_is_refused(server: str) -> None:
    assert "content_trust_server" in found(server=server)[1]["refused"]


def test_files_that_disable_content_trust_are_named() -> None:
    entry = {"file": "/root/.bashrc", "name": "DOCKER_CONTENT_TRUST", "value": "0"}
    _, client = found(snapshot=make(packages={"installed": OLD}, environment=[entry]))
    assert client["notes"] == ["/root/.bashrc sets DOCKER_CONTENT_TRUST to off: remove that line"]


def test_disabled_verification_and_client_settings_have_no_resources() -> None:
    verify, client = found(verify=False, client=False)
    assert "resources" not in verify
    assert "resources" not in client


def test_a_client_without_a_package_is_refused() -> None:
    assert "not known" in found(packages=only({"bash": "5"}))[1]["refused"]


def test_a_host_without_an_engine_is_refused() -> None:
    (document,) = found(snapshot=make(engine=absent("no Docker engine")))
    assert document == {"name": "content_trust", "refused": "there is no Docker engine on this host"}
