"""``hardener workload profile``: files in, files out; a compose file is changed whole or not at all."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from hardener.cli import main
from hardener.errors import ExitCode
from hardener.workload import proof as proofs
from hardener.workload.recording import build
from tests.unit.cli.fake_fleet import runner
from tests.unit.workload.engines import CAPABILITIES, DEFAULTS
from tests.unit.workload.profiles import recorded
from tests.unit.workload.proofs import proven
from tests.unit.workload.recordings import document

FILES = {
    "apparmor",
    "compose.override.yaml",
    "docker-run.txt",
    "profile.html",
    "profile.json",
    "profile.md",
    "seccomp.json",
}
COMPOSE = "services:\n  web:\n    image: nginx  # kept\n"


def write(path: Path, **changes: Any) -> Path:
    data = document()
    data["granted"] = {"capabilities": sorted(CAPABILITIES), "seccomp": DEFAULTS["default"]}
    data["phases"] = [{"name": "serve", "exercised": True, "reason": "a connection", "seconds": 1.0}]
    for key, value in changes.items():
        part, _, name = key.partition("__")
        if name:
            data[part][name] = value
        else:
            data[part] = value
    path.write_text(build(data, name="x").dump())
    return path


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "web.json")


def run(*arguments: str | Path) -> Result:
    return runner().invoke(main, ["workload", "profile", *map(str, arguments)])


def test_the_files_go_to_a_folder_named_after_the_container(recording: Path) -> None:
    result = run(recording)
    assert result.exit_code == ExitCode.COMPLIANT, result.output
    folder = recording.parent / "web-profile"
    assert {each.name for each in folder.iterdir()} == FILES
    assert result.stdout.startswith("Least privilege for web\n")
    assert "  system calls: 360 → " in result.stdout
    assert "CAP_CHOWN  the kernel checked it: nginx in chown in start-empty (1 of 1)" in result.stdout
    assert all(len(line.rstrip()) == len(line) or line.endswith(" ") for line in result.stdout.split("\n"))
    assert re.search(r"^  \d+ entries: see web-profile/profile\.md$", result.stdout, re.MULTILINE)
    assert "the runtime needs it" not in result.stdout
    assert "the runtime needs it" in (folder / "profile.md").read_text()
    assert result.stderr.startswith("wrote seccomp.json, apparmor, docker-run.txt, ")
    assert result.stderr.endswith(": hardener workload prove web-profile --run COMMAND\n")


def test_profile_files_do_not_depend_on_the_folder_they_are_written_to(recording: Path) -> None:
    assert run(recording, "--out", "a").exit_code == run(recording, "--out", "b/c").exit_code == 0
    for name in FILES:
        assert (Path("a") / name).read_bytes() == (Path("b/c") / name).read_bytes()


def test_an_incomplete_recording_gives_exit_code_4(recording: Path) -> None:
    write(recording, recorder={"complete": False, "missing": ["a map was full"]})
    result = run(recording)
    assert result.exit_code == ExitCode.INCOMPLETE
    assert "Not observed: a map was full" in result.stdout


def test_the_commands_that_load_the_apparmor_profile_have_its_path(recording: Path) -> None:
    said = run(recording, "--out", "my profile").stderr
    assert "  apparmor_parser --replace 'my profile/apparmor'\n" in said
    assert "  cp 'my profile/apparmor' /etc/apparmor.d/hardener-web " in said
    write(recording, host__lsm=["capability"])
    assert "apparmor_parser" not in run(recording).stderr


def test_the_user_in_place_of_root_is_named(recording: Path) -> None:
    use = {"name": "CAP_DAC_OVERRIDE", "call": "openat", "program": "nginx", "phases": ["serve"]}
    owner = {"uid": 999, "gid": 998, "mode": 0o750}
    files = {"files__created": ["/data/x"], "files__owners": {"/data": owner}, "files__written": []}
    mounts = [{"kind": "volume", "target": "/data", "read_only": False}]
    identities = [{**each, "bounding": [use["name"]]} for each in document()["identities"]]
    write(recording, capabilities=[use], identities=identities, container__mounts=mounts, **files)
    assert "give root's files in its volumes to the user 999:998 (chown)\n" in run(recording).stderr
    kept = run(recording, "--keep-user")
    assert (kept.exit_code, "999:998 (chown)" in kept.stderr) == (0, False)


def test_recordings_without_an_exercise_give_exit_code_4_and_a_warning(recording: Path) -> None:
    phases = [
        {"name": "serve", "exercised": False, "reason": "no connection reached the twin", "seconds": 1.0}
    ]
    write(recording, phases=phases)
    result = run(recording)
    assert result.exit_code == ExitCode.INCOMPLETE
    assert "warning: in no recording did an exercise reach the container\n" in result.stderr


def test_a_compose_file_is_only_changed_on_request(recording: Path) -> None:
    compose = Path("project/compose.yaml")
    compose.parent.mkdir()
    compose.write_text(COMPOSE)
    result = run(recording, "--out", "least", "--compose", compose, "--service", "web")
    assert result.exit_code == 0, result.output
    assert compose.read_text() == COMPOSE
    assert "--- project/compose.yaml\n+++ project/compose.yaml\n@@" in result.stdout
    assert '+      - "seccomp=../least/seccomp.json"\n' in result.stdout
    # The file on top is for the same project, and finds the profile from its folder too.
    assert '"seccomp=../least/seccomp.json"' in Path("least/compose.override.yaml").read_text()


def test_the_last_of_several_files_gets_the_settings_with_paths_from_the_folder_of_the_first(
    recording: Path,
) -> None:
    Path("overlays").mkdir()
    Path("compose.yaml").write_text(COMPOSE)
    Path("overlays/production.yaml").write_text("services:\n  web:\n    restart: always\n")
    files = ["--compose", "compose.yaml", "--compose", "overlays/production.yaml"]
    result = run(recording, *files, "--service", "web", "--apply", "--unproven")
    assert result.exit_code == 0, result.output
    assert Path("compose.yaml").read_text() == COMPOSE
    assert '"seccomp=./web-profile/seccomp.json"' in Path("overlays/production.yaml").read_text()
    assert '"seccomp=./web-profile/seccomp.json"' in Path("web-profile/compose.override.yaml").read_text()
    assert "written: overlays/production.yaml\n" in result.stderr


def test_the_option_apply_adds_the_settings_to_the_compose_file(recording: Path) -> None:
    compose = Path("compose.yaml")
    compose.write_text(COMPOSE)
    compose.chmod(0o640)
    result = run(recording, "--compose", compose, "--service", "web", "--apply", "--unproven")
    assert result.exit_code == 0, result.output
    assert compose.read_text().startswith(COMPOSE + "    cap_drop:\n      - ALL\n")
    assert '"seccomp=./web-profile/seccomp.json"' in compose.read_text()
    assert compose.stat().st_mode & 0o777 == 0o640
    again = run(recording, "--compose", compose, "--service", "web", "--apply", "--unproven")
    assert "\ncompose.yaml already contains the whole profile\n" in again.stderr


def test_the_command_prove_is_suggested_until_this_profile_is_proven_safe(recording: Path) -> None:
    hint = "hardener workload prove web-profile"
    recording.write_text(recorded().dump())
    assert hint in run(recording).stderr
    proven(Path("web-profile"))
    assert hint not in run(recording).stderr
    assert hint in run(recording, "--drop", "CAP_CHOWN").stderr  # another profile


PROJECT = ["--compose", "compose.yaml", "--service", "web"]
SERVED = [{"name": "serve", "exercised": True, "reason": "a connection", "seconds": 1.0}]
UNSERVED = [{**SERVED[0], "exercised": False}]


@pytest.fixture
def provable(recording: Path) -> Path:
    recording.write_text(recorded(phases=SERVED).dump())
    Path("compose.yaml").write_text(COMPOSE)
    return recording


def contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def test_a_profile_is_applied_after_its_proof(provable: Path) -> None:
    assert run(provable, *PROJECT).exit_code == 0
    files = proven(Path("web-profile"))
    result = run(provable, *PROJECT, "--apply")
    assert result.exit_code == 0, result.output
    assert "read_only: true" in Path("compose.yaml").read_text()
    assert {name: Path("web-profile", name).read_bytes() for name in files} == files  # with its proof
    assert "removed" not in result.stderr


def no_proof() -> None:
    pass


def no_folder() -> None:
    shutil.rmtree("web-profile")


def altered() -> None:
    proven(Path("web-profile"))
    path = Path("web-profile/proof.json")
    data = json.loads(path.read_text())
    data["evidence"][0]["needed"] = False
    path.write_text(proofs.text(proofs.decode(json.dumps(data).encode(), name="x")))


def of_another_profile() -> None:
    assert run("web.json", *PROJECT, "--drop", "CAP_CHOWN").exit_code == 0
    proven(Path("web-profile"))


def of_another_path() -> None:
    assert run("web.json", "--out", "web-profile").exit_code == 0
    proven(Path("web-profile"))


def not_exercised() -> None:
    proven(Path("web-profile"), passes=frozenset({"control", "second control"}))


def not_safe() -> None:
    proven(Path("web-profile"), fails=frozenset({"profile"}))


def no_json() -> None:
    Path("web-profile/proof.json").write_text("safe")


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (no_proof, "there is no proof.json"),
        (no_folder, "there is no proof.json"),
        (altered, "does not follow from the observations"),
        (of_another_profile, "the proof belongs to another profile"),
        (of_another_path, "the proof belongs to another profile"),
        (not_exercised, "the verdict is: not exercised"),
        (not_safe, "the verdict is: not safe"),
        (no_json, "proof.json"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_profile_without_a_valid_proof_is_applied_only_on_request(
    provable: Path, prepare: Callable[[], None], why: str
) -> None:
    assert run(provable, *PROJECT).exit_code == 0
    prepare()
    before = contents()
    result = run(provable, *PROJECT, "--apply")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (ExitCode.USAGE, "", 1)
    assert "--apply: web-profile has no proof that this profile is safe: " in result.stderr
    assert why in result.stderr
    assert "`hardener workload prove web-profile --run COMMAND`; or add --unproven" in result.stderr
    assert contents() == before
    result = run(provable, *PROJECT, "--apply", "--unproven")
    assert result.exit_code == 0, result.output
    assert "read_only: true" in Path("compose.yaml").read_text()


def test_a_recording_without_an_exercise_is_applied_only_on_request(provable: Path) -> None:
    provable.write_text(recorded(phases=UNSERVED).dump())
    assert run(provable, *PROJECT).exit_code == ExitCode.INCOMPLETE
    proven(Path("web-profile"))
    before = contents()
    result = run(provable, *PROJECT, "--apply")
    assert result.exit_code == ExitCode.USAGE
    assert "--apply: in no recording did an exercise reach the container (record it" in result.stderr
    assert contents() == before
    assert run(provable, *PROJECT, "--apply", "--unproven").exit_code == ExitCode.INCOMPLETE
    assert Path("compose.yaml").read_text() != COMPOSE


@pytest.mark.parametrize(
    ("options", "stays"),
    [
        (PROJECT, True),
        ([*PROJECT, "--drop", "CAP_CHOWN"], False),
        ([*PROJECT, "--allow-extra", "keyctl"], False),
        ([*PROJECT, "--service", "db"], False),
        ([], False),
    ],
)
def test_a_proof_stays_only_beside_its_own_profile(provable: Path, options: list[str], stays: bool) -> None:
    Path("compose.yaml").write_text(f"{COMPOSE}  db:\n    image: postgres\n")
    assert run(provable, *PROJECT).exit_code == 0
    proof = proven(Path("web-profile"))["proof.json"]
    result = run(provable, *options)
    assert result.exit_code == 0, result.output
    path = Path("web-profile/proof.json")
    assert path.exists() == stays == ("removed proof.json from web-profile: " not in result.stderr)
    assert not stays or path.read_bytes() == proof


def test_a_proof_of_nobody_known_is_not_removed(provable: Path) -> None:
    Path("proof.json").write_text("{}")
    result = run(provable, "--out", ".")
    assert result.exit_code == ExitCode.USAGE
    assert "has a file proof.json that does not belong to its profile" in result.stderr
    assert Path("proof.json").read_text() == "{}"


def test_by_default_the_recorded_service_of_the_compose_file_is_changed(recording: Path) -> None:
    write(recording, container__compose={"project": "p", "service": "web"})
    Path("compose.yaml").write_text(COMPOSE)
    assert "+    read_only: true" in run(recording, "--compose", "compose.yaml").stdout


def test_a_file_that_cannot_be_replaced_stays_unchanged(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("compose.yaml").write_text(COMPOSE)
    replace = Path.replace

    def full(path: Path, target: Path) -> Path:
        if target.name == "compose.yaml":
            raise OSError(28, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", full)
    result = run(recording, "--compose", "compose.yaml", "--service", "web", "--apply", "--unproven")
    assert result.exit_code == ExitCode.USAGE
    assert "No space left on device" in result.stderr
    assert Path("compose.yaml").read_text() == COMPOSE
    assert not list(Path().glob(".hardener-*"))


REFUSED = [
    (["missing.json"], "cannot read recording missing.json: No such file"),
    (["web.json", "--apply"], "--service and --apply need --compose"),
    (["web.json", "--service", "x"], "--service and --apply need --compose"),
    (["web.json", "--unproven"], "--unproven needs --apply"),
    (["web.json", "--compose", "none.yaml", "--service", "x"], "cannot read none.yaml: No such file"),
    (
        ["web.json", "--compose", "compose.yaml"],
        "the recorded container does not belong to a compose project",
    ),
    (["web.json", "--compose", "compose.yaml", "--service", "x"], "has no service x (it has web)"),
    (["web.json", "--compose", "binary", "--service", "x"], "cannot read binary: it is not UTF-8"),
    (["web.json", "--compose", ".", "--service", "x"], "cannot read .: Is a directory"),
    (["web.json", "--compose", "large", "--service", "x"], "cannot read large: the file has more than"),
    (["web.json", "other.json"], "web.json and other.json are not of the same container: user was"),
    (
        ["web.json", "--allow-extra", "read"],
        "--allow-extra read: the engine's default already permits this call",
    ),
    (
        ["web.json", "--drop", "sys_time"],
        "cannot leave out CAP_SYS_TIME: the profile does not keep it; it keeps ",
    ),
    (["web.json", "--out", "compose.yaml"], "compose.yaml"),
    ([], "Missing argument 'RECORDING...'"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_a_usage_error_is_reported_in_one_line_and_writes_nothing(
    recording: Path, arguments: list[str], message: str
) -> None:
    Path("compose.yaml").write_text(COMPOSE)
    Path("binary").write_bytes(b"\xff\xfe")
    Path("large").write_bytes(b"#" * (2 << 20))
    write(Path("other.json"), container__user="7")
    result = run(*arguments)
    assert result.exit_code == ExitCode.USAGE
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("web-profile").exists()


def test_the_profile_is_written_as_json_with_its_evidence(recording: Path) -> None:
    run(recording)
    found = json.loads(Path("web-profile/profile.json").read_text())
    assert found["format"] == "hardener.profile/1"
    assert found["seccomp"]["calls"]["openat"]["container"]["programs"] == ["nginx"]
    assert set(found["files"]) == {"apparmor", "compose.override.yaml", "docker-run.txt", "seccomp.json"}


@pytest.mark.parametrize("name", ["compose.override.yaml", "seccomp.json", "profile.json"])
def test_foreign_files_are_not_replaced(recording: Path, name: str) -> None:
    (recording.parent / name).write_text('{"own": "of the project"}')
    result = run(recording, "--out", ".")
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert f"has a file {name} that does not belong to its profile" in result.stderr
    assert (recording.parent / name).read_text() == '{"own": "of the project"}'
    assert {each.name for each in recording.parent.iterdir()} == {recording.name, name}


def test_a_profile_is_replaced_by_the_next_one(recording: Path) -> None:
    assert run(recording, "--out", "p").exit_code == 0
    Path("p/seccomp.json").write_text("edited")
    assert run(recording, "--out", "p").exit_code == 0
    assert Path("p/seccomp.json").read_text() != "edited"


def test_a_compose_file_changed_in_the_meantime_is_not_written(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose = recording.parent / "compose.yaml"
    compose.write_text(COMPOSE)
    later = COMPOSE + "  db:\n    image: postgres\n"

    def edit(*_: object) -> None:
        compose.write_text(later)

    monkeypatch.setattr("hardener.cli.workload.profile._show", edit)
    result = run(recording, "--compose", compose, "--service", "web", "--apply", "--unproven")
    assert result.exit_code == ExitCode.USAGE
    assert "was changed in the meantime" in result.stderr
    assert compose.read_text() == later


def test_what_a_proof_found_not_needed_is_left_out_and_stays_out(recording: Path) -> None:
    folder = Path("web-profile")
    kept = {"CAP_CHOWN", "CAP_SETUID"}
    recording.write_text(recorded().dump())

    def capabilities() -> set[str]:
        return set(json.loads((folder / "profile.json").read_text())["capabilities"]["kept"])

    run(recording)
    assert capabilities() == kept
    refused = run(recording, "--from-proof")
    assert (refused.exit_code, capabilities()) == (ExitCode.USAGE, kept)
    assert "make the profile without it, then `hardener workload prove web-profile --run" in refused.stderr
    proven(folder, passes=frozenset({"capability CAP_CHOWN"}))
    less = run(recording, "--from-proof")
    assert capabilities() == {"CAP_SETUID"}
    assert "removed proof.json from web-profile" in less.stderr
    proven(folder)
    for _again in range(2):
        same = run(recording, "--from-proof")
        assert capabilities() == {"CAP_SETUID"}
        assert "removed proof.json" not in same.stderr
