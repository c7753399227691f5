"""The guard without systemd: what it leaves for systemd to run is run by the test."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.contract import UNCONFIRMED
from ansible_collections.hardener.docker.plugins.module_utils.converge import (
    activations,
    confirm,
    documents,
    files,
    guard,
    guard_main,
    system,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.journal import CHANGING, Journal
from ansible_collections.hardener.docker.plugins.module_utils.converge.transaction import Terms, Transaction

from tests.unit.plugins.module_utils.converge.guarded import TOKEN, Systemd, change, let_time_pass, start
from tests.unit.plugins.module_utils.converge.host import Host
from tests.unit.plugins.module_utils.converge.transactions import Recorded, interrupted, tree, when
from tests.unit.sleeping import replace_sleep

pytestmark = pytest.mark.usefixtures("missing")


def ask(host: Host, token: str = TOKEN) -> dict[str, Any]:
    return confirm.confirm(host.store, {"token": token})


def test_a_confirmed_run_is_not_rolled_back_and_its_guard_is_removed(host: Host, systemd: Systemd) -> None:
    host.write("x", "old")
    done = change(host)
    assert (done["outcome"], done["run"].endswith(f"-{TOKEN}")) == ("unconfirmed", True)
    assert systemd.timer()[0] == sys.executable
    assert "--on-active=180" in next(words for words in systemd.said if words[0] == "systemd-run")
    backup = Path(host.store.backup_folder(done["run"]))
    assert (backup / "guard.pyz").stat().st_mode & 0o777 == 0o600
    link = systemd.units / "sysinit.target.wants" / "hardener-guard.service"
    assert link.readlink() == systemd.units / "hardener-guard.service"

    confirmed = ask(host)
    assert (confirmed["outcome"], confirmed["run"], confirmed["who"]) == ("changed", done["run"], "me@here")
    assert (host.read("x"), Journal.find(host.store)) == ("new", None)
    assert list(systemd.units.iterdir()) == []
    assert not (backup / "guard.pyz").exists()
    assert ["systemctl", "stop", "--", f"hardener-guard-{done['run']}.timer"] in systemd.said
    assert ["systemctl", "daemon-reload"] not in systemd.said
    assert ask(host)["outcome"] == "changed"  # an answer that was lost can be asked for again


def test_systemd_is_reloaded_after_the_units_of_the_guard_are_removed(host: Host, systemd: Systemd) -> None:
    host.write("x", "old")
    change(host)
    systemd.knows_the_unit = "yes"
    ask(host)
    assert ["systemctl", "daemon-reload"] in systemd.said


def test_a_run_without_impact_has_no_guard(host: Host, systemd: Systemd) -> None:
    assert change(host, impact="none")["outcome"] == "changed"
    assert "systemd-run" not in {words[0] for words in systemd.said}


def test_a_run_without_confirmation_has_no_guard(host: Host, systemd: Systemd) -> None:
    assert host.converge(host.file("x", "new"))["outcome"] == "changed"
    assert "systemd-run" not in {words[0] for words in systemd.said}


def test_without_systemd_a_note_says_that_there_is_no_guard(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "possible", lambda: False)
    done = change(host)
    assert done["outcome"] == "changed"
    assert "systemd does not run on this host" in done["notes"][0]


def test_the_program_of_the_timer_rolls_the_run_back(host: Host, systemd: Systemd) -> None:
    host.write("x", "old")
    before = tree(host.folder)
    run = change(host)["run"]
    let_time_pass(host)
    start(systemd.timer())
    assert Journal.find(host.store) is None
    left = {name: found for name, found in tree(host.folder).items() if not name.startswith("hardener")}
    assert left == before
    record = host.store.record(run)
    assert (record["outcome"], record["reason"]) == ("rolled_back", "not confirmed within 180 s")
    found = ask(host)
    assert (found["outcome"], found["reason"]) == ("rolled_back", "not confirmed within 180 s")


def test_the_timer_waits_if_the_time_limit_was_restarted(
    host: Host, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("x", "old")
    change(host)
    journal = Journal.find(host.store)
    assert journal is not None
    journal.enter(UNCONFIRMED, seconds=300)
    found = []

    def wait(_: float) -> None:
        found.append(host.read("x"))
        if len(found) == 2:
            let_time_pass(host)

    replace_sleep(monkeypatch, wait)
    guard_main._expired(host.store, journal.run)
    assert found == ["new", "new"]
    assert (host.read("x"), Journal.find(host.store)) == ("old", None)


def test_the_timer_of_an_earlier_run_does_not_roll_back_a_later_one(host: Host, systemd: Systemd) -> None:
    change(host)
    first = systemd.timer()[-1]
    ask(host)
    change(host, "another", token="fedcba98")
    start([*systemd.timer()[:-1], first])
    assert systemd.at_boot()[-1] == systemd.timer()[-1]
    assert (host.read("x"), ask(host, "fedcba98")["outcome"]) == ("another", "changed")


def test_the_boot_unit_restores_files_without_calling_services(host: Host, systemd: Systemd) -> None:
    host.write("x", "old")
    run = change(host)["run"]
    start(systemd.at_boot())
    assert (host.read("x"), Journal.find(host.store)) == ("old", None)
    record = host.store.record(run)
    assert record["reason"] == "the host was rebooted before the run was confirmed"


@pytest.mark.parametrize(
    "reader",
    [
        *(
            "systemd-sysctl.service",
            "apparmor.service",
            "network-pre.target",
            "docker.socket",
            "docker.service",
        ),
        *("audit-rules.service", "auditd.service"),  # the first alone loads them, from Debian 13 on
        "hardener-firewall.service",
    ],
)
def test_the_boot_unit_precedes_the_readers_of_restored_files(
    host: Host, systemd: Systemd, reader: str
) -> None:
    change(host)
    lines = (systemd.units / "hardener-guard.service").read_text().splitlines()
    before = [word for line in lines if line.startswith("Before=") for word in line[7:].split()]
    assert reader in before


def test_a_rollback_at_boot_calls_the_boot_variant_of_each_undo(
    host: Host, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.hardener.docker.plugins.module_utils.converge import rollback

    class Mine(Recorded):
        log = host.folder / "log"

        def undo_at_boot(self) -> list[str]:
            self._note(f"boot {self.memory['was']}")
            return []

    monkeypatch.setattr(activations, "KINDS", {"systemd-reload": Mine})
    host.write("x", "old")
    document = {
        "name": "a",
        "impact": "connectivity",
        "resources": [host.file("x", "new")],
        "activations": when(host.path("x")),
    }
    request = documents.parse({"documents": [document], "allow": "reboot"}, tuple(activations.KINDS))
    Transaction(request, host.store, Terms(TOKEN, 180, "")).run()
    journal = Journal.find(host.store)
    assert journal is not None
    assert rollback.finished(host.store, journal, "boot", boot=True)["outcome"] == "rolled_back"
    assert (host.read("log"), host.read("x")) == ("perform\nboot before\n", "old")


def test_a_run_is_refused_while_another_awaits_confirmation_and_rolls_it_back_later(
    host: Host, systemd: Systemd
) -> None:
    host.write("x", "old")
    run = change(host)["run"]
    for check in (True, False):
        with pytest.raises(Refused, match=rf"run {run} of me@here waits to be confirmed.*in 1\d\d s"):
            host.converge(host.file("x", "third"), check=check)
    let_time_pass(host)
    done = host.converge(host.file("y", "third"))
    assert done["notes"][0] == f"run {run} was not confirmed and was rolled back first"
    assert (host.read("x"), host.read("y")) == ("old", "third")


def test_an_unconfirmed_run_cannot_be_confirmed_after_a_reboot(
    host: Host, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.hardener.docker.plugins.module_utils.converge import system

    host.write("x", "old")
    change(host)
    monkeypatch.setattr(system, "boot", lambda: "another")
    assert ask(host)["outcome"] == "rolled_back"
    assert host.read("x") == "old"


LOST = ["no longer running: 1 containers (web)"]


@pytest.mark.parametrize("moment", ["after the change", "when it is to be confirmed"])
@pytest.mark.parametrize("comes_back", [True, False])
def test_an_unhealthy_host_is_rolled_back_at_once(
    host: Host, systemd: Systemd, missing: dict[str, list[str]], moment: str, *, comes_back: bool
) -> None:
    host.write("x", "old")
    if moment == "after the change":
        missing["new"] = LOST
    if not comes_back:
        missing["old"] = LOST
    found = change(host)
    if moment == "when it is to be confirmed":
        assert found["outcome"] == "unconfirmed"
        missing["new"] = LOST
        found = ask(host)
    assert (found["outcome"], found["reason"]) == ("rolled_back", LOST[0])
    assert found["problems"] == []
    assert found["notes"] == ([] if comes_back else [f"everything is restored, but: {LOST[0]}"])
    assert (host.read("x"), Journal.find(host.store)) == ("old", None)
    assert list(systemd.units.iterdir()) == []


def test_the_run_of_a_killed_worker_is_rolled_back_on_the_next_request(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("a", "old")
    host.write("b", "old")
    interrupted(host, monkeypatch, host.file("a", "new"), host.file("b", "new"), writes=1)
    journal = Journal.find(host.store)
    assert journal is not None
    assert journal.phase == CHANGING
    found = ask(host, journal.run.rpartition("-")[2])
    assert (found["outcome"], host.read("a")) == ("rolled_back", "old")


@pytest.mark.parametrize("refuses", ["systemd-run", "the folder of units"])
def test_a_guard_that_cannot_be_armed_prevents_the_run(host: Host, systemd: Systemd, refuses: str) -> None:
    host.write("x", "old")
    if refuses == "systemd-run":
        systemd.refuses = refuses
    else:
        systemd.units.rmdir()
        systemd.units.write_text("")
    with pytest.raises(Refused, match="the guard cannot be armed"):
        change(host)
    assert (host.read("x"), Journal.find(host.store), host.store.runs()) == ("old", None, [])


def test_an_invalid_token_or_time_limit_of_a_run_is_refused(host: Host) -> None:
    with pytest.raises(Refused, match="is not the token of a run"):
        ask(host, "../../etc")
    with pytest.raises(Refused, match="is not the token"):
        Terms.of({"token": "../x", "seconds": 180})
    with pytest.raises(Refused, match="20 to 86400"):
        Terms.of({"token": TOKEN, "seconds": 1})
    assert ask(host)["outcome"] == "unknown"
    host.converge(host.file("x", "1"))
    assert ask(host)["outcome"] == "unknown"


def test_the_outcome_of_a_run_that_holds_the_lock_is_working(
    host: Host, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.hardener.docker.plugins.module_utils.converge.locking import locked

    change(host)
    monkeypatch.setattr(confirm, "_PATIENCE", 0)
    with locked(host.store.lock):
        assert ask(host)["outcome"] == "working"
    assert ask(host)["outcome"] == "changed"


@pytest.mark.parametrize(
    ("text", "word"),
    [("/usr/bin/python3", '"/usr/bin/python3"'), ('/a b/%n"$x\\', '"/a b/%%n\\"$$x\\\\"')],
)
def test_a_path_is_escaped_as_one_word_of_a_unit(text: str, word: str) -> None:
    assert guard._word(text) == word


def test_the_run_of_a_dead_worker_is_rolled_back_without_waiting(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        host.write(name, "old")
    interrupted(host, monkeypatch, host.file("a", "new"), host.file("b", "new"), writes=1)
    journal = Journal.find(host.store)
    assert journal is not None
    journal.enter(CHANGING, seconds=300)  # what the activation would have been given

    def wait(_: float) -> None:
        raise AssertionError("nobody is at work")

    replace_sleep(monkeypatch, wait)
    guard_main._expired(host.store, journal.run)
    assert (host.read("a"), Journal.find(host.store)) == ("old", None)


@pytest.mark.parametrize("left", ["unit and link", "unit", "link", "temporary file"])
def test_leftover_units_are_removed_by_the_next_run(host: Host, systemd: Systemd, left: str) -> None:
    change(host)
    unit = systemd.units / "hardener-guard.service"
    link = systemd.units / "sysinit.target.wants" / unit.name
    text = unit.read_text()
    assert ask(host)["outcome"] == "changed"
    assert list(systemd.units.iterdir()) == []
    if left == "temporary file":
        (systemd.units / ".hardener-guard.service.hardener~").write_text(text)
    if "link" in left:
        link.parent.mkdir()
        link.symlink_to(unit)
    if "unit" in left:
        unit.write_text(text)
    assert change(host)["outcome"] == "unchanged"
    assert list(systemd.units.iterdir()) == []


def test_the_guard_of_another_folder_is_kept(host: Host, systemd: Systemd) -> None:
    unit = systemd.units / "hardener-guard.service"
    unit.write_text('ExecStart="python3" "boot" "/somewhere/else" "run"')
    assert host.converge(host.file("x", "new"))["outcome"] == "changed"
    assert unit.exists()


@pytest.mark.parametrize("written", ["", "[Unit]\nDescription=Roll back the ch"])
def test_the_next_run_removes_a_unit_that_was_cut_off_while_it_was_written(
    host: Host, systemd: Systemd, written: str
) -> None:
    draft = Path(files.temporary_name(str(systemd.units / guard.BOOT_UNIT)))
    draft.write_text(written)
    guard.clear_up(host.store.folder)
    assert not draft.exists()


def test_the_next_run_reloads_systemd_after_an_incompletely_removed_guard(
    host: Host, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("x", "old")
    program = Path(host.store.backup_folder(change(host)["run"]), "guard.pyz")
    monkeypatch.setattr(system, "run", lambda *_, **__: system.Outcome(126, "", "Cannot allocate memory"))
    ask(host)
    assert program.exists()  # its timer could not be stopped, and starts it
    monkeypatch.setattr(system, "run", systemd.run)
    systemd.knows_the_unit = "yes"
    guard.clear_up(host.store.folder)
    assert systemd.said[-1] == ["systemctl", "daemon-reload"]


def test_a_guard_is_stored_whatever_the_clock(
    host: Host, systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("x", "old")
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(86400))  # zip files begin with 1980
    assert Path(host.store.backup_folder(change(host)["run"]), "guard.pyz").exists()


def test_the_next_run_keeps_a_unit_of_another_folder(host: Host, systemd: Systemd) -> None:
    draft = Path(files.temporary_name(str(systemd.units / guard.BOOT_UNIT)))
    draft.write_text('[Service]\nExecStart="python3" "boot" "/another/folder"\n')
    guard.clear_up(host.store.folder)
    assert draft.exists()


def test_the_limit_of_the_boot_unit_exceeds_its_wait_for_the_lock(host: Host, systemd: Systemd) -> None:
    change(host)
    unit = (systemd.units / guard.BOOT_UNIT).read_text()
    limit = int(unit.rpartition("TimeoutStartSec=")[2].split()[0])
    assert limit >= guard.BOOT_PATIENCE + 60
