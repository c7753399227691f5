from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import documents
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import KINDS
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.docker import Docker
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.serving import FORMER, Finder, Served
from ansible_collections.hardener.docker.plugins.module_utils.docker import engine as engines

from tests.unit.plugins.module_utils.converge.host import Host
from tests.unit.plugins.module_utils.converge.located import Located

# What the roles of 0.1.0 told the activation of where the engine is.
OF_0_1_0 = {
    "name": "docker",
    "when": ["/etc/docker/daemon.json"],
    "config": "/etc/docker/daemon.json",
    "dockerd": "/usr/sbin/dockerd",
    "argv": ["/usr/sbin/dockerd", "-H", "fd://"],
    "flags": {"host": ["fd://"]},
    "socket": "/run/docker.sock",
    "unit": "docker.service",
}
SETTINGS = {key: value for key, value in OF_0_1_0.items() if key != "name"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The sockets for which an engine with a secret on its command line was looked for."""
    sockets = []

    def find(_running: object, _units: object, socket: str | None = None) -> engines.Engine:
        sockets.append(socket)
        found = engines.Engine()
        found.argv = ["dockerd", "--log-opt=splunk-token=TOPSECRET"]
        found.flags = {"log-opt": ["splunk-token=TOPSECRET"]}
        found.binaries = {"dockerd": "/usr/bin/dockerd"}
        found.config = {"path": "/srv/daemon.json"}
        return found

    monkeypatch.setattr(engines, "find", find)
    return sockets


def test_the_engine_is_located_once_and_only_on_demand(asked: list[str | None]) -> None:
    finder = Finder("/srv/docker.sock")
    assert asked == []
    assert finder.served == finder.served
    assert finder.served.config == "/srv/daemon.json"
    assert finder.containerd({"Containerd": {"Address": "/c.sock"}}) == "/c.sock"
    assert asked == ["/srv/docker.sock"]
    assert Finder().served.socket == "/run/docker.sock"  # it does not say where else it is
    assert asked[1:] == [None]


@pytest.mark.usefixtures("asked")
def test_the_engine_data_in_the_journal_contains_no_secret() -> None:
    served = Finder().served
    assert "TOPSECRET" in str(served.argv)
    assert "TOPSECRET" not in json.dumps(served.note())
    assert Served.noted(served.note()) == served._replace(argv=(), flags={})


@pytest.mark.parametrize("note", [{}, {"when": []}, {"config": "/x"}, {"config": None, "socket": "/s"}])
def test_a_journal_without_engine_data_has_no_engine(note: dict[str, Any]) -> None:
    assert Served.noted(note) is None


def test_an_engine_that_cannot_be_found_refuses_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(*_: object) -> engines.Engine:
        raise FileNotFoundError(2, "No such file or directory", "/proc/7/cmdline")

    monkeypatch.setattr(engines, "find", find)
    with pytest.raises(Refused, match="the engine of this host cannot be found: /proc/7/cmdline: No such"):
        _ = Finder().served


# --- documents and journals of the version before -----------------------------------------------------------


def test_the_engine_is_read_from_a_journal_of_0_1_0(asked: list[str | None]) -> None:
    begun = Docker(SETTINGS)
    begun.memory = {"stage": "restart", "live": False, "switch_on": False, "keys": []}
    assert (begun.config, begun.unit) == ("/etc/docker/daemon.json", "docker.service")
    assert (begun.engine.path, begun.served.dockerd) == ("/run/docker.sock", "/usr/sbin/dockerd")
    assert asked == [], "the engine may be down when a run is rolled back"


def test_a_begun_activation_uses_the_engine_in_its_journal(asked: list[str | None]) -> None:
    begun = Docker({"when": ["/x"]})
    begun.memory = {"stage": "", "engine": Located("/old/daemon.json", socket="/old.sock").served.note()}
    assert (begun.served.config, begun.engine.path) == ("/old/daemon.json", "/old.sock")
    assert asked == []


def test_a_document_of_0_1_0_is_accepted_with_a_note_on_ignored_settings() -> None:
    request = documents.parse({"documents": [{"name": "a", "activations": [OF_0_1_0]}]}, tuple(KINDS))
    (document,) = request.documents
    (note,) = document.notes
    assert note.startswith("argv, config, dockerd, flags, socket, unit: the host finds its engine itself")
    assert set(SETTINGS) - {"when"} <= FORMER


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (
            {"config": "/srv/daemon.json"},
            "config is /etc/docker/daemon.json, but .* has /srv/daemon.json",
        ),
        ({"config": "/etc/docker/daemon.json", "socket": "/srv/d.sock"}, "socket is /run/docker.sock, but"),
    ],
)
def test_a_document_of_0_1_0_about_another_engine_is_refused(
    host: Host, found: dict[str, str], reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        Docker(SETTINGS, finder=Located(**found)).prepare(host.plan())


def test_an_activation_uses_the_engine_that_its_finder_has_located(host: Host) -> None:
    other = Located("/srv/daemon.json", socket="/srv/d.sock")
    activation = Docker({"when": ["/srv/daemon.json"]}, finder=other)
    activation.locate()
    assert (activation.config, activation.engine.path) == ("/srv/daemon.json", "/srv/d.sock")
    assert host.plan().changes == []


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("splunk-token=hunter2", "x hunter2 y"),
        ("splunk-token=hmac", "x hmac y"),
        ("https://u:pass9word@s/p", "map[u:pass9word@s]"),
        ("--log-opt=splunk-token=tokentoken", "tokentoken"),
    ],
)
def test_secrets_of_the_command_line_are_removed_from_texts(word: str, told: str) -> None:
    secret = word.rpartition("=")[2].rpartition("u:")[2].partition("@")[0]
    served = Served("/d.json", "/s", argv=("dockerd", "--log-opt", word))
    assert secret in told
    assert secret not in served.without_secrets(told)
    assert served.without_secrets("nothing of the kind") == "nothing of the kind"


SECRETS = ["hunter22", "to=ken=4", "a.b-c_d9", "ümläut77", "hmac:0123", "=y-secret"]


@pytest.mark.parametrize("between", [",", ";", "&", " ", "|"])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("quote", ["", '"'])
def test_each_secret_in_a_word_is_removed_separately(between: str, count: int, quote: str) -> None:
    for secrets in permutations(SECRETS, count):
        pairs = [f"{name}-token={quote}{secret}{quote}" for name, secret in zip("xyz", secrets, strict=False)]
        word = between.join(["--log-opt=a=b", *pairs, "c=d"])
        served = Served("/d.json", "/s", argv=("dockerd", word))
        for secret in secrets:
            assert secret not in served.without_secrets(f"level=fatal: bad value [{secret}] in an option")
        assert served.without_secrets("a=b and c=d are fine") == "a=b and c=d are fine"


def test_a_word_with_ambiguous_secrets_is_removed_completely() -> None:
    word = "-H tcp://u:token=first1@h,x-token=second2,c=d"
    served = Served("/d.json", "/s", argv=("dockerd", word))
    assert "second2" not in served.without_secrets(f"no option: {word}")
