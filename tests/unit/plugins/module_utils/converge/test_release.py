from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import (
    activations,
    confirm,
    departure,
    files,
    history,
    locking,
    origin,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import sysctl
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed, Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.journal import Journal
from ansible_collections.hardener.docker.plugins.module_utils.converge.release import Release
from ansible_collections.hardener.docker.plugins.module_utils.converge.transaction import Terms
from ansible_collections.hardener.docker.plugins.module_utils.host import atomic
from ansible_collections.hardener.docker.plugins.module_utils.subjects import owners

from tests.unit.plugins.module_utils.converge.guarded import Systemd, let_time_pass, start
from tests.unit.plugins.module_utils.converge.host import Host
from tests.unit.plugins.module_utils.converge.transactions import Recorded, interrupted, tree, when
from tests.unit.plugins.module_utils.traps import Trap, swapping

OTHER_TOKEN = "fedcba9876543210"
RESTART = "restart the engine yourself if it runs: its configuration changes"  # no run has told it


@pytest.fixture(autouse=True)
def own_places(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What hardener writes on a host lies in the folder that stands for it."""
    monkeypatch.setattr(departure, "OWN_FOLDERS", (host.path("own"),))
    monkeypatch.setattr(departure, "PLACES", (host.path("units/hardener-*"),))


@pytest.fixture(autouse=True)
def kinds(host: Host, monkeypatch: pytest.MonkeyPatch) -> type[Recorded]:
    class Mine(Recorded):
        log = host.folder / "hardener.log"

    monkeypatch.setattr(activations, "KINDS", {"systemd-reload": Mine})
    return Mine


def release(
    host: Host, *, role: str = "", check: bool = False, terms: Terms | None = None, even_unsafe: bool = False
) -> dict[str, Any]:
    return Release(
        host.store, role=role, even_unsafe=even_unsafe, check=check, allow="daemon-restart", terms=terms
    ).run()


def is_known(host: Host) -> bool:
    """Whether hardener still has a folder there."""
    return host.store.exists


def visible(host: Host) -> dict[str, Any]:
    return {name: found for name, found in tree(host.folder).items() if not name.startswith("hardener")}


def harden(host: Host, *, told: bool = True) -> None:
    """Three runs of six roles; what files alone say is told to nothing that runs unless ``told``."""
    host.converge_all(
        {
            "name": "kernel_settings",
            "resources": [host.file("sysctl/60-hardener.conf", "# Written by hardener.\na = 1\n")],
            "activations": when(host.path("sysctl/60-hardener.conf")) if told else [],
        },
        {"name": "docker_daemon_icc", "resources": [host.json("d.json", {"icc": False, "log": {"a": 1}})]},
    )
    host.converge_all(
        {
            "name": "docker_files_enforce",
            "resources": [attributes(host, "loose"), attributes(host, "d.json")],
        },
        {"name": "selinux_mode", "resources": [host.file("config", "# Written by hardener; …\nenforcing\n")]},
        {"name": "activity_listens", "resources": [host.file("own/deep/program.py", "1")]},
    )
    host.converge_all(
        {
            "name": "kernel_settings",
            "resources": [host.file("sysctl/60-hardener.conf", "# Written by hardener.\na = 2\n")],
        },
        {"name": "docker_daemon_icc", "resources": [host.json("d.json", {"icc": False})]},
        {"name": "docker_daemon_ipv6", "resources": [host.json("d.json", {"ipv6": True})]},
    )


def attributes(host: Host, name: str) -> dict[str, Any]:
    return {"kind": "attributes", "path": host.path(name), "at_most": "0600"}


@pytest.fixture
def bare(host: Host) -> dict[str, Any]:
    """What is there before hardener comes."""
    host.write("d.json", '{\n\t"icc": true, "debug": true\n}')
    host.write("loose", "mine")
    host.write("config", "permissive\n")
    os.utime(host.path("config"), ns=(10**18, 10**18))
    (host.folder / "d.json").chmod(0o644)
    (host.folder / "loose").chmod(0o644)
    return visible(host)


def test_a_release_restores_the_host_and_leaves_nothing_of_hardener(host: Host, bare: dict[str, Any]) -> None:
    harden(host)
    assert visible(host) != bare
    predicted = release(host, check=True)
    done = release(host)
    assert (predicted["outcome"], done["outcome"]) == ("would_change", "changed")
    assert {key: done[key] for key in ("changes", "diff", "kept", "left")} == {
        key: predicted[key] for key in ("changes", "diff", "kept", "left")
    }
    assert visible(host) == bare
    assert (done["kept"], done["left"]) == ([], [RESTART])
    assert not is_known(host)
    assert (host.folder / "config").stat().st_mtime_ns == 10**18
    assert (host.folder / "hardener.log").read_text() == "perform\nperform\n"  # once by each


@pytest.mark.skipif(os.geteuid() != 0, reason="files of other users are needed")
@pytest.mark.parametrize("role", ["", "docker_files"])
@pytest.mark.parametrize(
    ("before", "opened"),
    [
        ((0o644, 0, 0), ""),
        ((0o660, 0, 0), ""),
        ((0o666, 0, 0), "all"),
        ((0o602, 0, 0), "all"),
        ((0o664, 0, 8), "gid 8"),
        ((0o644, 0, 8), ""),
        ((0o644, 33, 0), "uid 33"),
        ((0o666, 33, 8), "all, gid 8, uid 33"),
    ],
)
def test_owners_and_modes_by_which_others_could_write_are_given_back_on_request_only(
    host: Host, role: str, before: tuple[int, int, int], opened: str
) -> None:
    mode, uid, gid = before

    def attributes_of(name: str) -> tuple[int, int, int]:
        found = (host.folder / name).stat()
        return found.st_mode & 0o777, found.st_uid, found.st_gid

    def hardened() -> None:
        host.write("loose", "mine")
        os.chown(host.path("loose"), uid, gid)
        (host.folder / "loose").chmod(mode)
        wanted = {**attributes(host, "loose"), "owner": "root", "group": "root"}
        host.converge_all({"name": "docker_files_enforce", "resources": [wanted]})
        assert attributes_of("loose") == (0o600 & mode, 0, 0)

    hardened()
    done = release(host, role=role)
    assert attributes_of("loose") == ((0o600 & mode, 0, 0) if opened else before)
    said = f"owner and mode of {host.path('loose')} stay as they are: before hardener {opened} could"
    assert [text.startswith(said) for text in done["left"]] == [True] * bool(opened)
    hardened()
    assert release(host, role=role, even_unsafe=True)["left"] == []
    assert attributes_of("loose") == before


def test_a_second_release_changes_nothing(host: Host, bare: dict[str, Any]) -> None:
    harden(host)
    release(host)
    before = tree(host.folder)
    done = release(host)
    assert (done["outcome"], done["changed"]) == ("unchanged", False)
    assert release(host, role="kernel")["outcome"] == "unchanged"
    assert tree(host.folder) == before


def test_check_mode_changes_nothing(host: Host, bare: dict[str, Any]) -> None:
    harden(host)
    before = tree(host.folder)
    release(host, check=True)
    assert tree(host.folder) == before


def test_single_keys_are_restored_if_others_have_changed_the_file(host: Host, bare: dict[str, Any]) -> None:
    harden(host)
    data = json.loads(host.read("d.json"))
    host.write("d.json", json.dumps({**data, "ipv6": None, "dns": ["192.0.2.1"]}))
    done = release(host)
    assert json.loads(host.read("d.json")) == {
        "icc": True,
        "debug": True,
        "ipv6": None,
        "dns": ["192.0.2.1"],
    }
    assert done["kept"] == [f"{host.path('d.json')}: ipv6 was changed by others meanwhile, and stays so"]
    assert (host.folder / "d.json").stat().st_mode & 0o777 == 0o644


def test_a_file_that_others_have_changed_stays_and_is_named(host: Host, bare: dict[str, Any]) -> None:
    harden(host)
    host.write("config", "by hand\n")
    (host.folder / "loose").chmod(0o640)
    done = release(host)
    assert host.read("config") == "by hand\n"
    assert (host.folder / "loose").stat().st_mode & 0o777 == 0o640
    assert set(done["kept"]) == {
        f"{host.path('config')} was changed by others meanwhile, and stays as it is",
        (f"owner and mode of {host.path('loose')} were changed by others meanwhile, and stay as they are"),
    }
    assert not is_known(host)


def test_the_release_of_one_role_restores_only_its_files_and_keys(host: Host, bare: dict[str, Any]) -> None:
    harden(host)
    predicted = release(host, role="docker_daemon", check=True)
    done = release(host, role="docker_daemon")
    assert [change["path"] for change in done["changes"]] == [host.path("d.json")]
    assert predicted["changes"] == done["changes"]
    assert json.loads(host.read("d.json")) == {"icc": True, "debug": True}
    assert (host.folder / "d.json").stat().st_mode & 0o777 == 0o600  # that is another role's
    assert host.read("config").startswith("# Written by hardener")
    assert is_known(host)
    assert release(host, role="docker_daemon")["outcome"] == "unchanged"
    release(host, role="docker_files")
    assert (host.folder / "d.json").stat().st_mode & 0o777 == 0o644
    release(host)
    assert {**visible(host), "d.json": None} == {**bare, "d.json": None}


def test_the_release_of_a_role_that_changes_no_file_forgets_its_keys(host: Host) -> None:
    host.write("d.json", '{"icc": true}')
    harden_icc = {"name": "docker_daemon_icc", "resources": [host.json("d.json", {"icc": False})]}
    host.converge_all(harden_icc)
    host.write("d.json", '{"icc": true}')
    assert release(host, role="docker_daemon")["outcome"] == "unchanged"
    host.write("d.json", '{"debug": true}')
    host.converge_all(harden_icc)
    release(host, role="docker_daemon")
    assert json.loads(host.read("d.json")) == {"debug": True}


def test_the_release_of_a_role_can_be_rolled_back(host: Host, bare: dict[str, Any]) -> None:
    harden(host)
    before = visible(host)
    release(host, role="docker_daemon")
    history.back_to(host.store, before="", who="me", check=False)
    assert visible(host) == before
    release(host)
    assert visible(host) == bare


def test_a_release_removes_the_program_folders_of_a_role(host: Host, bare: dict[str, Any]) -> None:
    harden(host)
    (host.folder / "hardener" / "activity").mkdir()
    (host.folder / "hardener" / "activity" / "record.json").write_text("{}")
    (host.folder / "own" / "deep" / "__pycache__").mkdir()
    release(host, role="activity")
    assert not (host.folder / "hardener" / "activity").exists()
    assert not (host.folder / "own/deep/program.py").exists()
    assert is_known(host)
    release(host)
    assert visible(host) == bare


@pytest.mark.parametrize("role", ["", "activity", "kernel"])
def test_a_release_removes_what_programs_of_a_role_have_written_elsewhere(
    host: Host, bare: dict[str, Any], monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    harden(host)
    outside = host.path("cache"), host.path("stamp"), host.path("absent")
    monkeypatch.setattr(owners, "OUTSIDE", {"activity": outside})
    (host.folder / "cache" / "deep").mkdir(parents=True)
    host.write("stamp", "")
    assert release(host, role=role, check=True)["outcome"] == "would_change"
    assert (host.folder / "cache" / "deep").is_dir()
    release(host, role=role)
    gone = [not Path(path).exists() for path in outside]
    assert gone == [role != "kernel", role != "kernel", True]


def test_a_release_ignores_rolled_back_runs(host: Host, bare: dict[str, Any]) -> None:
    harden(host)
    history.back_to(host.store, before="", who="me", check=False)
    host.write("sysctl/60-hardener.conf", "mine now")
    done = release(host)
    assert host.read("sysctl/60-hardener.conf") == "mine now"
    assert len(done["kept"]) == 1


def test_a_killed_run_is_rolled_back_before_the_release(
    host: Host, bare: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    harden(host)
    interrupted(host, monkeypatch, host.file("config", "half"), host.file("more", "half"), writes=1)
    predicted = release(host, check=True)
    done = release(host)
    assert visible(host) == bare
    assert predicted["outcome"] == "would_change"
    assert "was rolled back first" in done["notes"][0]


def test_a_killed_release_is_rolled_back_or_repeated(
    host: Host, bare: dict[str, Any], kinds: type[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    harden(host)
    with monkeypatch.context() as patched:
        patched.setattr(kinds, "_note", lambda *_: os.kill(os.getpid(), 9))
        with pytest.raises(Failed, match="worker was killed"):
            release(host)
    assert Journal.find(host.store) is not None
    done = release(host)
    assert done["outcome"] == "changed"
    assert visible(host) == bare
    assert not is_known(host)


# --- the guard ----------------------------------------------------------------------------------------------


TERMS = Terms(OTHER_TOKEN, 180, "me@here")


@pytest.mark.usefixtures("missing")
def test_backups_stay_until_the_release_is_confirmed(
    host: Host, bare: dict[str, Any], systemd: Systemd
) -> None:
    host.write("x", "")
    harden(host)
    done = release(host, terms=TERMS)
    assert done["outcome"] == "unconfirmed"
    assert is_known(host)
    assert host.read("config") == "permissive\n"
    with pytest.raises(Refused, match="waits to be confirmed"):
        release(host)
    found = confirm.confirm(host.store, {"token": OTHER_TOKEN})
    assert (found["outcome"], found["kept"], found["left"]) == ("changed", [], [RESTART])
    assert not is_known(host)
    assert {name: what for name, what in visible(host).items() if name != "x"} == bare
    assert not list(systemd.units.iterdir())


@pytest.mark.usefixtures("missing")
def test_the_host_rolls_back_an_unconfirmed_release(
    host: Host, bare: dict[str, Any], systemd: Systemd
) -> None:
    host.write("x", "")
    harden(host, told=False)
    before = visible(host)
    release(host, terms=TERMS)
    let_time_pass(host)
    start(systemd.timer())
    assert visible(host) == before
    assert host.store.record(host.store.runs()[-1])["outcome"] == "rolled_back"
    release(host)
    assert {name: what for name, what in visible(host).items() if name != "x"} == bare


def test_a_release_that_breaks_the_host_is_rolled_back(
    host: Host, bare: dict[str, Any], kinds: type[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    harden(host)
    before = visible(host)
    monkeypatch.setattr(kinds, "fails", "problems")
    done = release(host)
    assert (done["outcome"], done["reason"]) == ("rolled_back", "a container is lost")
    assert visible(host) == before
    assert is_known(host)


@pytest.mark.parametrize("killed_at", ["rename", "remove_tree", "remove", "remove_folder"])
@pytest.mark.usefixtures("bare")
def test_leftovers_of_a_killed_confirmation_are_removed_by_the_next_release(
    host: Host, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    harden(host)
    with monkeypatch.context() as patched:
        whole = getattr(atomic, killed_at)
        calls = []

        def killing(*arguments: Any) -> Any:
            calls.append(arguments)
            if str(host.store.folder) in str(arguments[0]) or len(calls) > 2:
                os.kill(os.getpid(), 9)
            return whole(*arguments)

        patched.setattr(departure, "part", _killed(departure.part, killed_at, killing))
        with pytest.raises(Failed, match="worker was killed"):
            release(host)
    assert is_known(host)
    assert Journal.find(host.store) is None
    done = release(host)
    assert (done["outcome"], done["kept"]) == ("changed", [])
    assert not is_known(host)
    assert release(host)["outcome"] == "unchanged"


def _killed(part: Any, name: str, killing: Callable[..., Any]) -> Callable[..., Any]:
    """That part of the work, with one function of `atomic` that kills the worker."""

    def parting(*arguments: Any) -> Any:
        setattr(atomic, name, killing)
        return part(*arguments)

    return parting


# --- what nobody has recorded -------------------------------------------------------------------------------


def test_files_without_a_backup_are_removed_only_with_the_mark_of_hardener(
    host: Host, bare: dict[str, Any]
) -> None:
    harden(host)
    (host.folder / "units").mkdir()
    host.write("units/hardener-scan.timer", "# Written by hardener: when.\n[Timer]\n")
    host.write("units/hardener-backup.service", "[Service]\n")
    host.write("own/trust.json", "{}")
    done = release(host)
    assert not (host.folder / "units/hardener-scan.timer").exists()
    assert (host.folder / "units/hardener-backup.service").exists()
    assert (host.folder / "own/trust.json").exists()
    assert done["left"] == [
        f"{host.path(name)} looks like a file of hardener, but no backup names it: find out what wrote it"
        for name in ("own/trust.json", "units/hardener-backup.service")
    ] + [RESTART]


def test_a_marked_file_of_another_user_stays(host: Host, bare: dict[str, Any]) -> None:
    harden(host)
    (host.folder / "units").mkdir()
    host.write("units/hardener-scan.timer", "# Written by hardener: when.\n[Timer]\n")
    os.chown(host.path("units/hardener-scan.timer"), 65534, 65534)
    (host.folder / "units/hardener-link.timer").symlink_to(host.path("units/hardener-scan.timer"))
    done = release(host)
    assert len(list((host.folder / "units").iterdir())) == 2
    assert len(done["left"]) == 3


def test_an_older_version_of_a_file_of_hardener_is_not_a_former_state(
    host: Host, bare: dict[str, Any]
) -> None:
    harden(host)
    shutil.rmtree(host.store.backup_folder(host.store.runs()[0]))  # forgotten by now
    host.converge_all(
        {
            "name": "kernel_settings",
            "resources": [host.file("sysctl/60-hardener.conf", "# Written by hardener.\n")],
        }
    )
    release(host)
    assert not (host.folder / "sysctl/60-hardener.conf").exists()


def test_a_backup_that_cannot_be_read_is_reported(host: Host, bare: dict[str, Any]) -> None:
    harden(host)
    Path(host.store.backup_folder(host.store.runs()[1]), "manifest.json").write_text("{")
    done = release(host)
    assert [note for note in done["kept"] if host.store.runs()] == []
    assert "are unknown" in done["kept"][0]


def test_a_link_of_a_user_does_not_stop_the_release_of_other_files(host: Host, bare: dict[str, Any]) -> None:
    harden(host)
    secret = host.folder / "secret"
    secret.write_text("root's")
    (host.folder / "loose").unlink()
    (host.folder / "loose").symlink_to(secret)
    os.chown(host.path("loose"), 65534, 65534, follow_symlinks=False)
    done = release(host)
    assert secret.read_text() == "root's"
    assert (host.folder / "loose").is_symlink()
    assert host.read("config") == "permissive\n"
    assert host.path("loose") in done["kept"][0]


def test_a_file_of_another_user_in_place_of_one_of_hardener_stays(host: Host, bare: dict[str, Any]) -> None:
    harden(host)
    (host.folder / "sysctl" / "60-hardener.conf").unlink()
    host.write("sysctl/60-hardener.conf", "# Written by hardener.\na = 2\n")
    os.chown(host.path("sysctl/60-hardener.conf"), 65534, 65534)
    done = release(host)
    assert host.read("sysctl/60-hardener.conf").endswith("2\n")
    assert len(done["kept"]) == 1


# --- more runs than are kept --------------------------------------------------------------------------------


def later_runs(host: Host, count: int) -> None:
    """Repairs of the same few things, and each time something new."""
    for number in range(count):
        host.converge_all(
            {
                "name": "kernel_settings",
                "resources": [
                    host.file("sysctl/60-hardener.conf", f"# Written by hardener.\na = {number}\n"),
                    host.file("config", f"# Written by hardener; …\n{number}\n"),
                ],
            },
        )


def test_the_former_state_is_known_after_any_number_of_runs(host: Host, bare: dict[str, Any]) -> None:
    harden(host)
    later_runs(host, 12)
    assert len(host.store.runs()) == 10
    origins = host.folder / "hardener" / "origins"
    assert len([each for each in origins.iterdir() if each.is_dir()]) == 2  # the third told nothing new
    predicted = release(host, check=True)
    done = release(host)
    assert visible(host) == bare
    assert (done["kept"], predicted["changes"]) == ([], done["changes"])
    assert not is_known(host)


def test_a_change_made_by_others_stays_even_if_the_backups_of_that_time_were_removed(
    host: Host, bare: dict[str, Any]
) -> None:
    harden(host)
    later_runs(host, 3)
    host.write("config", "by hand\n")
    later_runs(host, 12)
    done = release(host)
    assert host.read("config") == "by hand\n"
    assert done["kept"] == [f"{host.path('config')} was changed by others meanwhile, and stays as it is"]


def test_a_backup_is_removed_only_after_its_original_states_are_stored(
    host: Host, bare: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    harden(host)
    later_runs(host, 7)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(origin.Origins, "note", full)
        later_runs(host, 3)
    assert len(host.store.runs()) == 13
    later_runs(host, 1)
    assert len(host.store.runs()) == 10
    release(host)
    assert visible(host) == bare


# --- odds and ends ------------------------------------------------------------------------------------------


def test_a_release_keeps_user_namespaces_and_names_the_next_steps(host: Host, bare: dict[str, Any]) -> None:
    host.converge_all(
        {
            "name": "userns_remap_user",
            "resources": [
                host.json("d.json", {"userns-remap": "default"}),
                {"kind": "lines", "path": host.path("subuid"), "lines": ["dockremap:1:65536"]},
            ],
        },
        {"name": "docker_daemon_icc", "resources": [host.json("d.json", {"icc": False})]},
    )
    done = release(host)
    assert json.loads(host.read("d.json")) == {"icc": True, "debug": True, "userns-remap": "default"}
    assert host.read("subuid") == "dockremap:1:65536\n"
    assert [note for note in done["left"] if "userns-remap stays" in note]


def test_a_role_with_an_invalid_name_is_refused(host: Host) -> None:
    with pytest.raises(Refused, match="not the name of a role"):
        release(host, role="../etc")


def test_a_process_that_waited_for_the_lock_of_a_released_host_is_refused(
    host: Host, bare: dict[str, Any]
) -> None:
    harden(host)
    held = os.open(host.store.lock, os.O_RDWR)
    try:
        release(host)
        assert os.fstat(held).st_nlink == 0
        with pytest.raises(Refused), locking.locked(host.store.lock):
            pass
    finally:
        os.close(held)


def test_a_file_that_cannot_be_changed_refuses_the_release_before_any_change(
    host: Host, bare: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    harden(host)
    before = visible(host)
    monkeypatch.setattr(
        files, "obstacle", lambda path, **_: "chattr -i it" if path.endswith("config") else ""
    )
    with pytest.raises(Refused, match="chattr -i"):
        release(host)
    assert visible(host) == before


# What three runs left on a host before the programs were part of a collection; @HOST@ stands for its folder.
RECORDED = Path(__file__).parents[4] / "fixtures" / "hosts" / "hardened-before-the-collection.json"


def laid_out(host: Host, tree: dict[str, tuple[str, str | None]]) -> None:
    for name, (mode, content) in tree.items():
        path = host.folder / name
        if content is None:
            path.mkdir()
        else:
            path.write_text(content)
        path.chmod(int(mode, 8))


@pytest.mark.skipif(os.geteuid() != 0, reason="the recorded owner is root")
@pytest.mark.parametrize("role", ["", "docker_daemon"])
def test_a_backup_folder_of_an_older_version_is_read(host: Host, role: str) -> None:
    recorded = json.loads(RECORDED.read_text().replace("@HOST@", str(host.folder)))
    laid_out(host, recorded["hardened"])
    hardened = visible(host)
    done = release(host, role=role, even_unsafe=True)
    assert (done["outcome"], done["kept"], done["left"]) == ("changed", [], [RESTART])
    given_back = {name: found for name, found in visible(host).items() if name in recorded["before"]}
    contents = {name: content.encode() for name, (_, content) in recorded["before"].items()}
    modes = {name: int(mode, 8) for name, (mode, _) in recorded["before"].items()}
    if role:
        assert given_back["d.json"][1] == contents["d.json"]
        assert {**visible(host), "d.json": None} == {**hardened, "d.json": None}
        return
    assert visible(host).keys() == given_back.keys()
    assert {name: content for name, (_, content) in given_back.items()} == contents
    assert {name: mode & 0o7777 for name, (mode, _) in given_back.items()} == modes
    assert not is_known(host)


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
def test_files_outside_of_the_users_folder_are_not_changed_by_releases_if_a_user_swaps_paths(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    trap = Trap(tmp_path / "trap")
    ended: Counter[str] = Counter()
    with swapping(trap):
        for number in range(30):
            trap.set()
            path = f"{trap.eve}/{('ca.crt', 'folder/ca.crt', 'folder/later', 'hard')[number % 4]}"
            with suppress(Refused):
                ended[host.converge({"kind": "file", "path": path, "content": "new"})["outcome"]] += 1
            with suppress(Refused):
                ended["release " + release(host)["outcome"]] += 1
    assert trap.untouched
    assert ended["release changed"] >= 5, ended


@pytest.mark.parametrize("role", ["", "docker_files"])
@pytest.mark.parametrize("first", [0o600, 0o640])
def test_a_release_restores_what_the_first_run_found_and_not_what_somebody_left_later(
    host: Host, role: str, first: int
) -> None:
    document = {"name": "docker_files_enforce", "resources": [attributes(host, "loose")]}
    path = host.folder / "loose"
    path.write_text("mine")
    path.chmod(first)
    begun = host.converge_all(document)["outcome"]
    assert begun == ("unchanged" if first == 0o600 else "changed")
    path.chmod(0o666)
    assert host.converge_all(document)["outcome"] == "changed"
    assert release(host, role=role, even_unsafe=True)["kept"] == []
    assert path.stat().st_mode & 0o777 == first


@pytest.mark.parametrize("role", ["", "kernel"])
@pytest.mark.parametrize("first", ["0", "1"])
def test_a_release_restores_keys_absence_and_states_that_the_first_run_found(
    host: Host, role: str, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activations, "KINDS", {"sysctl": sysctl.Sysctl})
    monkeypatch.setattr(sysctl, "ROOT", host.path("proc"))
    setting = host.folder / "proc/net/ipv4/ip_forward"
    setting.parent.mkdir(parents=True)
    documents = (
        {
            "name": "kernel_enforce",
            "resources": [
                {"kind": "absent", "path": host.path("stray")},
                host.json("d.json", {"icc": False, "log": {"a": 1}}),
            ],
            "activations": [{"name": "sysctl", "when": [], "values": {"net.ipv4.ip_forward": 0}}],
        },
        {"name": "other_debug", "resources": [host.json("d.json", {"debug": False})]},
    )

    def states() -> tuple[str, dict[str, Any], bool]:
        return setting.read_text(), json.loads(host.read("d.json")), (host.folder / "stray").exists()

    setting.write_text(first)
    host.write("d.json", json.dumps({"icc": first == "1", "debug": False, "log": {"a": 1}}))
    if first == "1":
        host.write("stray", "an attacker's")
    before = states()
    host.converge_all(*documents)
    assert (states() == before) == (first == "0")
    setting.write_text("1")  # somebody takes the settings back, and they are repaired
    host.write("stray", "an attacker's")
    host.write("d.json", json.dumps({"icc": True, "debug": False, "log": {"a": 2}}))
    assert host.converge_all(*documents)["outcome"] == "changed"
    done = release(host, role=role)
    assert (done["kept"], states()) == ([], before)
    left = {key[0]: key[2] for key in origin.found(host.store)}
    assert left == ({"key": "other_debug"} if role else {})  # the next run of the role is the first again


def test_a_run_of_an_older_version_is_the_first_one(host: Host) -> None:
    document = {"name": "docker_files_enforce", "resources": [attributes(host, "loose")]}
    path = host.folder / "loose"
    path.write_text("mine")
    path.chmod(0o640)
    host.converge_all(document)
    (host.folder / "hardener/found.json").unlink()
    host.converge_all(document)
    release(host)
    assert path.stat().st_mode & 0o777 == 0o640
