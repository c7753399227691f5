from __future__ import annotations

import json
from pathlib import Path

import pytest

from hardener.errors import HardenerError
from hardener.fleet.inventory import check, identify, is_this_machine, sources


@pytest.mark.parametrize(
    "inventory", ["db01,", "db01,db02", "db01, db02", "10.0.0.1,", "::1,", "user-1.example.org:2222,"]
)
def test_a_list_of_hosts_is_an_inventory(inventory: str, tmp_path: Path) -> None:
    check(inventory)
    assert sources(inventory, tmp_path)[-1] == inventory


def test_a_file_or_a_folder_is_an_inventory(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "hosts.ini", tmp_path / "a,b"):
        if path != tmp_path:
            path.touch()
        check(str(path))
        assert sources(str(path), tmp_path) == [str(path)]


@pytest.mark.parametrize(
    ("inventory", "message"),
    [
        ("", "the inventory is empty"),
        ("  ", "the inventory is empty"),
        (",", "names no host"),
        ("/dev/null", "inventory /dev/null is neither a file nor a folder"),
        (" , ,", "names no host"),
        ("db01", r"inventory db01 does not exist \(a host is given as a list: -i 'db01,'\)"),
        ("web*,", r"'web\*' is not a host name"),
        ("db01,a\nb", r"'a\\nb' is not a host name"),
        ("db 01,", "'db 01' is not a host name"),
        ("-oProxyCommand=x,", "is not a host name"),
        ("/etc/hosts,db01", r"'/etc/hosts' is not a host name \(a list names hosts; an inventory of several"),
        ("hosts/prod.yml,", r"'hosts/prod.yml' is not a host name"),
        ("\x1b[31mred,", r"'\\x1b\[31mred' is not a host name"),
        ("h" * 5000, "does not exist"),
        ("\x1b[31mgone", r"\\x1b\[31mgone does not exist"),
    ],
)
def test_an_invalid_inventory_is_refused(inventory: str, message: str) -> None:
    with pytest.raises(HardenerError, match=message) as caught:
        check(inventory)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("glue", [",", ", "])
def test_a_list_of_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, glue: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("prod", "test.yml"):
        (tmp_path / name).touch()
    message = r"^prod and test.yml are files, and only one inventory is allowed \(put them into a folder"
    with pytest.raises(HardenerError, match=message):
        check(glue.join(("prod", "test.yml")))
    check("prod,db01")  # a host may have the name of a file
    check("prod,")


def test_localhost_in_a_list_means_this_machine(tmp_path: Path) -> None:
    first, last = sources("localhost,db01,127.0.0.1", tmp_path)
    assert last == "localhost,db01,127.0.0.1"
    hosts = json.loads(Path(first).read_text())["all"]["hosts"]
    local = {"ansible_connection": "local"}
    assert hosts == {"localhost": local, "127.0.0.1": local}


@pytest.mark.parametrize("inventory", ["db01,", "localhost:2222,"])
def test_a_list_without_localhost_is_passed_on_unchanged(inventory: str, tmp_path: Path) -> None:
    assert sources(inventory, tmp_path) == [inventory]
    assert not list(tmp_path.iterdir())


def test_a_list_can_be_longer_than_a_file_name(tmp_path: Path) -> None:
    inventory = ",".join(f"host{number}.example.org" for number in range(1000))
    check(inventory)
    assert sources(inventory, tmp_path) == [inventory]


def test_a_file_is_identified_by_its_path_and_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {db01: }}")
    monkeypatch.chdir(tmp_path)
    name, digest = identify("./hosts.yml")
    assert (name, digest) == identify(str(tmp_path / "hosts.yml"))
    assert name == str(tmp_path / "hosts.yml")
    (tmp_path / "notes.txt").write_text("beside it, and no part of it")
    assert identify("hosts.yml") == (name, digest)
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text("a: 1")
    assert identify("hosts.yml")[1] != digest
    (tmp_path / "hosts.yml").write_text("all: {hosts: {db02: }}")
    assert len({digest, identify("hosts.yml")[1]}) == 2


def test_a_folder_is_identified_by_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("a")
    before = identify(str(tmp_path))
    assert before[0] == str(tmp_path)
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars" / "db01.yml").write_text("a: 1")
    assert identify(str(tmp_path))[1] != before[1]


def test_a_list_of_hosts_is_named_by_its_text(tmp_path: Path) -> None:
    assert identify("db01,db02")[0] == "db01,db02"
    assert identify("db01,")[1] != identify("db02,")[1]


def test_broken_links_in_an_inventory_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert len(identify(str(tmp_path))[1]) == 64


@pytest.mark.parametrize(
    ("inventory", "here"),
    [
        ("localhost,", True),
        ("127.0.0.1, ::1,", True),
        ("localhost,db01", False),
        ("db01,", False),
        ("localhost", False),  # a file's name
    ],
)
def test_an_inventory_of_only_this_machine_is_recognised(inventory: str, here: bool) -> None:
    assert is_this_machine(inventory) is here
