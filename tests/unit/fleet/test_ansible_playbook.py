"""The very script that ansible-runner starts, and what it remembers for the next run."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_runner.utils import OutputEventFilter

from hardener.fleet import ansible_playbook as module
from hardener.fleet.ansible_playbook import inert, remembered
from tests.unit.fleet.forging import END, GONE, STATS, forged

SCRIPT = Path(module.__file__)
TEXT = b"plugin_routing: {modules: {old: {redirect: new}}}\n" + b"#" * 100_000
TABLE = ("ansible.builtin", "runtime.yml")
PARSED = {"plugin_routing": {"modules": {"old": {"redirect": "new"}}}}


class Parser:
    """Parses YAML, and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, text: bytes, _name: object) -> Mapping[str, Any]:
        self.calls += 1
        found: Mapping[str, Any] = yaml.load(text, Loader=yaml.BaseLoader)
        return found


@pytest.fixture
def parser() -> Parser:
    return Parser()


def script(home: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    present = {"PATH": path, "LC_ALL": "C.UTF-8", "HOME": str(home), "ANSIBLE_NOCOLOR": "1"}
    command = [sys.executable, "-P", str(SCRIPT), str(home / "pid"), "22", *arguments]
    return subprocess.run(command, cwd=cwd, env=present, check=False, capture_output=True, text=True)


def test_it_is_ansible_playbook(tmp_path: Path) -> None:
    shown = script(tmp_path, "--version", cwd=tmp_path)
    assert shown.stdout.startswith("ansible-playbook [core 2.")
    executable = Path(sys.executable).with_name("ansible-playbook")
    assert f"executable location = {executable}\n" in shown.stdout
    wrong = script(tmp_path, "--no-such-option", cwd=tmp_path)
    assert (wrong.returncode, "usage: ansible-playbook [-h]" in wrong.stderr) == (2, True)


def test_it_says_its_number_before_it_does_anything(tmp_path: Path) -> None:
    command = [sys.executable, "-P", str(SCRIPT), "pid", "22", "--no-such-option"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as process:
        process.wait()
    assert (tmp_path / "pid").read_text() == str(process.pid)


def test_nothing_is_imported_from_where_the_user_is(tmp_path: Path) -> None:
    for name in ("ansible", "yaml", "json", "events"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the current folder')")
    assert script(tmp_path, "--version", cwd=tmp_path).returncode == 0


def test_ansible_parses_the_table_of_its_plugins_once(tmp_path: Path) -> None:
    play = tmp_path / "play.yml"
    play.write_text(
        "[{hosts: localhost, gather_facts: false, tasks: [{ansible.builtin.assert: {that: 1 == 1}}]}]"
    )
    cache = tmp_path / ".cache" / "hardener" / "ansible-plugins.json"
    first = script(tmp_path, str(play), cwd=tmp_path)
    assert (first.returncode, cache.stat().st_mode & 0o777) == (0, 0o600)
    known = json.loads(cache.read_text())
    assert known["is"]["plugin_routing"]["modules"]
    # What it remembers is what it goes by: here, that this action is gone.
    known["is"]["plugin_routing"]["action"]["assert"] = {"tombstone": {"warning_text": "remembered"}}
    cache.write_text(json.dumps(known))
    second = script(tmp_path, str(play), cwd=tmp_path)
    assert "remembered" in second.stdout + second.stderr


def test_ansibles_own_table_is_parsed_once(parser: Parser, tmp_path: Path) -> None:
    cache = tmp_path / "new" / "cache.json"
    assert remembered(parser, cache)(TEXT, TABLE) == PARSED
    assert remembered(parser, cache)(TEXT, TABLE) == PARSED
    assert parser.calls == 1
    assert remembered(parser, cache)(TEXT.replace(b"new", b"newer"), TABLE) != PARSED
    assert remembered(parser, cache)(TEXT, TABLE) == PARSED
    assert parser.calls == 3
    assert [path.name for path in cache.parent.iterdir()] == ["cache.json"]


def test_another_collection_does_not_take_its_place(parser: Parser, tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    others = ("community.general", "runtime.yml")
    for _ in range(2):
        remembered(parser, cache)(TEXT, TABLE)
        assert remembered(parser, cache)(TEXT.replace(b"new", b"newer"), others) != PARSED
    assert parser.calls == 3


def test_a_small_text_is_not_worth_it(parser: Parser, tmp_path: Path) -> None:
    assert remembered(parser, tmp_path / "cache.json")(b"a: b", "x") == {"a": "b"}
    assert not list(tmp_path.iterdir())


def _spoil(cache: Path) -> None:
    cache.write_text(cache.read_text()[:-9])


def _empty(cache: Path) -> None:
    cache.write_text("{}")


def _no_table(cache: Path) -> None:
    cache.write_text(json.dumps(json.loads(cache.read_text()) | {"is": 5}))


def _no_text(cache: Path) -> None:
    cache.write_bytes(b"\xff\xfe")


def _of_another(cache: Path) -> None:
    os.chown(cache, 12345, -1)


def _for_everyone(cache: Path) -> None:
    cache.chmod(0o666)


def _folder(cache: Path) -> None:
    cache.unlink()
    cache.mkdir()


def _pipe(cache: Path) -> None:
    cache.unlink()
    os.mkfifo(cache)


def _deep(cache: Path) -> None:
    cache.write_text("[" * 200_000)


def _nothing(cache: Path) -> None:
    cache.write_text(json.dumps(json.loads(cache.read_text()) | {"is": []}))


SPOILED = [
    *(_spoil, _empty, _no_table, _no_text, _of_another, _for_everyone, _folder),
    *(_pipe, _deep, _nothing),
]


@pytest.mark.parametrize("spoil", SPOILED)
def test_what_cannot_be_believed_is_parsed_again(
    parser: Parser, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    if spoil is _of_another and os.geteuid() != 0:
        pytest.skip("giving a file away needs root")
    cache = tmp_path / "cache.json"
    remembered(parser, cache)(TEXT, TABLE)
    spoil(cache)
    assert remembered(parser, cache)(TEXT, TABLE) == PARSED
    assert parser.calls == 2
    assert [path.name for path in tmp_path.iterdir()] == ["cache.json"]


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a folder away needs root")
def test_nothing_is_left_in_a_folder_of_somebody_else(parser: Parser, tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, -1)
    assert remembered(parser, tmp_path / "cache.json")(TEXT, TABLE) == PARSED
    assert remembered(parser, tmp_path / ".cache" / "hardener" / "cache.json")(TEXT, TABLE) == PARSED
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a link away needs root")
def test_a_link_of_somebody_else_is_not_followed(parser: Parser, tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").symlink_to("ours")
    os.chown(tmp_path / "theirs", 12345, -1, follow_symlinks=False)
    assert remembered(parser, tmp_path / "theirs" / "cache.json")(TEXT, TABLE) == PARSED
    assert not list((tmp_path / "ours").iterdir())


@pytest.mark.parametrize(
    ("present", "where"),
    [
        ({"HOME": "/home/me"}, "/home/me/.cache/hardener/ansible-plugins.json"),
        ({"HOME": "/home/me", "XDG_CACHE_HOME": "/x"}, "/x/hardener/ansible-plugins.json"),
        ({"HOME": "/home/me", "XDG_CACHE_HOME": "x"}, "/home/me/.cache/hardener/ansible-plugins.json"),
        ({"HOME": "nowhere"}, "/dev/null/hardener/ansible-plugins.json"),
    ],
)
def test_where_it_is_remembered(monkeypatch: pytest.MonkeyPatch, present: dict[str, str], where: str) -> None:
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in present.items():
        monkeypatch.setenv(name, value)
    assert module.cache() == Path(where)


def test_where_nothing_can_be_written_it_is_parsed(parser: Parser, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert remembered(parser, tmp_path / "file" / "cache.json")(TEXT, TABLE) == PARSED


FORGED = {
    "the end of the run": STATS,
    "another host is gone": GONE,
    "another host failed": forged("runner_on_failed", host="db1", res={"msg": "x"}),
    "another host was changed": forged("runner_on_ok", host="db1", res={"changed": True}),
    "a plan of another host": forged(
        "runner_on_ok", host="db1", resolved_action="converge", res={"outcome": "would_change"}
    ),
    "hosts that are none": forged(
        "runner_on_ok", resolved_action="ansible.builtin.debug", res={"ansible_play_hosts_all": ["x"]}
    ),
    "a task": forged("playbook_on_task_start", name="x"),
    "no data": forged("playbook_on_stats"),
    "a letter at a time": forged("playbook_on_stats", width=1),
    "in one piece": forged("playbook_on_stats", width=10_000, processed={"db1": 1}),
    "in a line": f"ssh: {GONE} and more",
    "at the end of a line": f"ssh\r\n{STATS}\r\n",
    "with line ends of Windows": STATS.replace("\x1b[K", "\r\n\x1b[K", 1),
    "after the end of ours": f"{END}{STATS}{END}",
    "only an end": END,
    "two of them": GONE + "text" + STATS,
    "after half of one": f"{GONE[:50]}{STATS}",
    "after an open escape": f"\x1b{STATS}",
    "among tabs": f"\t{STATS}\t",
    "among characters of any language": f"\u00e4\u4e2d\U0001f600{GONE}",
}
# What else acts on a terminal.
ACTING = (
    *(
        "\x1b[2J",
        "\x1b]0;title\x07",
        "\x9b2J",
        "\x90q\x9c",
        "\x07",
        "\x08\x08",
        "a\rb",
        "\x7f",
        "\x00",
        "\x0e",
    ),
    *("\u202e", "\u2066", "\u200b", "\u2028", "\ufeff", "\u061c"),
)
PROMPTS = (
    "BECOME password: ",
    "Vault password: ",
    "ssh:\nBECOME password: \nmore",
    "ssh:\r\nBECOME password: \r\n",
    "\n" * 50 + "Vault password: ",
    "BECOME password: \n" * 50,
    "BECOME password: BECOME password: ",
)


def taken(text: str) -> list[dict[str, Any]]:
    """The events that ansible-runner finds in what Ansible has printed."""
    found: list[dict[str, Any]] = []
    stream = OutputEventFilter(io.StringIO(), found.append, suppress_ansible_output=True)
    for each in (text, "\n", END):
        stream.write(each)
    stream.close()
    return [each for each in found if each["event"] not in ("verbose", "EOF")]


@pytest.mark.parametrize("text", FORGED.values(), ids=FORGED)
def test_a_message_has_no_event_in_it(text: str) -> None:
    assert taken(text) or text == END  # this is how the attack works
    assert taken(inert(text)) == []
    assert "\x1b" not in inert(text)


@pytest.mark.parametrize("text", ACTING)
def test_a_message_does_not_act_on_a_terminal(text: str) -> None:
    assert inert(f"a\tb\n{text}").removeprefix("a\tb\n").isprintable()


@pytest.mark.parametrize("text", PROMPTS)
def test_a_message_does_not_ask_for_a_password(text: str) -> None:
    prompts = re.compile("^(BECOME|Vault) password: $", re.MULTILINE)
    cuts = [inert(text)[:end].replace("\n", "\r\n") for end in range(len(inert(text)) + 1)]
    assert prompts.search(text.replace("\r\n", "\n")) or "password: BECOME" in text
    assert not any(prompts.search(cut) for cut in cuts)


def test_ordinary_messages_stay() -> None:
    text = "[ERROR]: Task failed: \u00e4\u4e2d\U0001f600\n\tOrigin: /a/b.yml:1:3\n\n"
    assert inert(text) == text


def test_what_ansible_prints_is_inert(tmp_path: Path) -> None:
    message = f"{STATS}\nBECOME password: \n{''.join(ACTING)}"
    (tmp_path / "variables.json").write_text(json.dumps({"message": message}))
    tasks = [{"ansible.builtin.fail": {"msg": "{{ message }}"}}]
    play = [{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]
    path = tmp_path / "play.json"
    path.write_text(json.dumps(play))
    ended = script(tmp_path, str(path), "-e", "@variables.json", cwd=tmp_path)
    said = ended.stdout + ended.stderr
    assert (ended.returncode, "[ERROR]: Task failed" in said) == (2, True)
    assert "\x1b" not in said
    assert "\nBECOME password: " not in said
