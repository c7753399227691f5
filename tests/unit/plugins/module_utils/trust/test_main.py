"""What the programs of the host say when nothing is as it should be; the rest is for real engines to show."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.trust import engine, main, pull, references
from ansible_collections.hardener.docker.plugins.module_utils.trust.chain import Verifier
from ansible_collections.hardener.docker.plugins.module_utils.trust.findings import (
    Finding,
    PolicyError,
    Unreachable,
)

from tests.unit.plugins.module_utils.trust.fake_registry import FakeRegistry
from tests.unit.processes import child

POLICY = {"registries": [{"prefix": "r.example.com", "nothing": True}]}


class Engine:
    """An engine with two images, neither of which it has pulled to the end."""

    def __init__(self, path: str) -> None:
        self.tagged = False

    def close(self) -> None:
        pass

    def has_containerd_store(self) -> bool:
        return False

    def images(self) -> list[dict[str, Any]]:
        return [{"Id": "sha256:1"}, {"Id": "sha256:2"}]

    def containers(self) -> list[dict[str, Any]]:
        return []

    def pull(self, repository: str, digest: str, authorization: str) -> None:
        pass

    def image(self, name: str) -> dict[str, Any]:
        raise KeyError(name)


@pytest.mark.parametrize(
    ("store", "version", "identity", "status"),
    [
        (True, "1.53", None, "no-registry-digest"),
        (True, "1.54", {"Build": [{"Ref": "x"}]}, "no-registry-digest"),
        (True, "1.53", {"Pull": [{"Repository": "registry.example/app"}]}, "not-allowed"),
        (True, "1.51", None, "not-allowed"),  # does not tell the origin
        (False, "1.53", None, "not-allowed"),  # has digests of registries alone
    ],
)
def test_an_image_of_the_containerd_store_that_was_never_pulled_has_no_digest_of_a_registry(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, store: bool, version: str, identity: Any, status: str
) -> None:
    digest = "sha256:" + "c" * 64
    here = {"Id": digest, "RepoTags": ["app:1"], "RepoDigests": [f"app@{digest}"], "Identity": identity}

    class Storing(engine.Engine):
        def _ask(self, method: str, path: str) -> Any:
            driver = [["driver-type", "io.containerd.snapshotter.v1"]] if store else []
            listed = [{key: value for key, value in here.items() if key != "Identity"}]
            answers = {"/info": {"DriverStatus": driver}, "/version": {"ApiVersion": version}}
            answers |= {"/images/json": listed, "/containers/json?all=1": []}
            return {**answers, f"/images/{digest}/json": here}[path]

    monkeypatch.setattr(main, "Engine", Storing)
    found = main.verify({"policy": POLICY, "record": str(tmp_path / "record.json")})
    assert [image["status"] for image in found["images"]] == [status]


@pytest.mark.parametrize("text", [None, "{", "[" * 99_999])
def test_an_unreadable_policy_is_an_error(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "trust.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PolicyError, match=r"trust\.json"):
        main.read_policy(str(path))


def test_without_a_policy_nothing_is_verified_or_pulled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def none(path: str = "") -> None:
        raise PolicyError("/etc/hardener/trust.json: No such file or directory")

    monkeypatch.setattr(main, "read_policy", none)
    monkeypatch.setattr(pull, "read_policy", none)
    assert main.main() == 1
    assert pull.main(["r.example.com/a"]) == 1
    assert capsys.readouterr().err.count("trust.json: No such file") == 2


@pytest.mark.parametrize("arguments", [["--force", "a"], ["A B"], ["-x"]])
def test_wrong_arguments_are_reported(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert pull.main(arguments) == 2
    assert capsys.readouterr().err


def test_a_run_for_the_controller_is_bounded_in_time_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    class Asked(Engine):
        def images(self) -> list[dict[str, Any]]:
            memory = resource.getrlimit(resource.RLIMIT_DATA)[0]
            os._exit(7 if 0 < signal.alarm(0) <= 60 and memory != resource.RLIM_INFINITY else 1)

    monkeypatch.setattr(main, "Engine", Asked)
    pid = child(lambda: main.verify({"policy": POLICY, "limit": 60}))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_an_undecidable_image_does_not_stop_the_verification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def image(self: Verifier, image: dict[str, Any]) -> Finding:
        if image["Id"] == "sha256:1":
            raise UnicodeError("nobody has thought of\x1b this")
        return Finding("unsigned", "why")

    monkeypatch.setattr(main, "Engine", Engine)
    monkeypatch.setattr(Verifier, "image", image)
    record = tmp_path / "record.json"
    found = main.verify({"policy": POLICY, "record": str(record)})
    assert [(each["status"], each["detail"]) for each in found["images"]] == [
        ("unreachable", "the image could not be judged: UnicodeError: nobody has thought of this"),
        ("unsigned", "why"),
    ]
    assert json.loads(record.read_text()) == found


def test_an_incomplete_pull_is_a_failure(fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull, "Engine", Engine)
    digest = fake.holds("app", {"config": {}}, "1")
    policy = {"registries": [{"prefix": fake.name, "nothing": True}]}
    with pytest.raises(Failed, match=f"does not have {fake.name}/app@{digest}: its pull was cut off"):
        pull.pull(references.parse(f"{fake.name}/app:1"), policy=policy, settings=fake.settings())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unreachable("evil\x1b]0;\x07"), 4),
        (pull.Refused("evil\x1b]0;\x07"), 3),
        (Failed("evil\x1b[2J\nhardener-pull: pulled"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_errors_of_registries_are_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int
) -> None:
    def raising(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(pull, "read_policy", lambda: POLICY)
    monkeypatch.setattr(pull, "pull", raising)
    assert pull.main(["r.example.com/a"]) == code
    said = capsys.readouterr().err
    assert said.rstrip("\n").isprintable()
    assert said.startswith("hardener-pull: ")


def test_an_interrupt_shows_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "read_policy", interrupted)
    assert main.main() == 130


def test_a_record_is_written_atomically_for_root_alone(tmp_path: Path) -> None:
    path = tmp_path / "hardener" / "trust" / "record.json"
    main.write({"a": 1}, str(path))
    main.write({"a": 2}, str(path))
    assert json.loads(path.read_text()) == {"a": 2}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["record.json"]


def test_a_full_disk_keeps_the_previous_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "trust" / "record.json"
    main.write({"a": 1}, str(path))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Failed, match="No space left on device"):
        main.write({"a": 2}, str(path))
    assert json.loads(path.read_text()) == {"a": 1}
    assert [each.name for each in path.parent.iterdir()] == ["record.json"]
