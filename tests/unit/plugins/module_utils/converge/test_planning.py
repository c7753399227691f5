from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import files
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from ansible_collections.hardener.docker.plugins.module_utils.converge.planning import (
    Plan,
    redacted,
)
from ansible_collections.hardener.docker.plugins.module_utils.host.redact import Redactor
from ansible_collections.hardener.docker.plugins.module_utils.host.text import visible

from tests.hanging import must_end
from tests.unit.plugins.module_utils.converge.host import Host


def test_a_file_with_the_wanted_content_and_mode_is_not_changed(host: Host) -> None:
    host.apply(host.plan(host.file("x", "text", mode="0600")))
    assert host.plan(host.file("x", "text", mode="0600")).changes == []
    assert [change.what for change in host.plan(host.file("x", "text", mode="0640")).changes] == [
        "owner and mode"
    ]
    assert [change.what for change in host.plan(host.file("x", "other", mode="0600")).changes] == ["write"]


KEY = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAbc\n-----END PRIVATE KEY-----\n"


def test_a_diff_shows_that_a_secret_changes_but_not_the_secret(host: Host) -> None:
    def diffs(content: str) -> list[str]:
        plan = host.plan(host.file("x", content, secret=True, mode="0400"))
        shown = [change.diff() for change in plan.changes]
        host.apply(plan)
        return shown

    (made,) = diffs("hunter2")
    assert "hunter2" not in made
    assert "+a secret" in made
    (changed,) = diffs("hunter3")
    assert "hunter" not in changed
    assert changed.endswith("-a secret\n+another secret\n")
    assert diffs("hunter3") == []


def test_a_private_key_is_in_no_diff() -> None:
    assert redacted(f"before\n{KEY}after") == "before\n***\nafter"
    headed = KEY.replace("KEY-----\nM", "KEY-----\nDEK-Info: AES-128-CBC,1\n\nM", 1)
    assert redacted(headed) == "***\n"


def test_a_path_that_cannot_be_changed_is_refused_before_any_change(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def obstacle(path: str, *, replaced: bool) -> str:
        asked.append((path, replaced))
        return "it is immutable"

    host.write("x", "old")
    monkeypatch.setattr(files, "obstacle", obstacle)
    with pytest.raises(Refused, match="x cannot be changed: it is immutable"):
        host.plan(host.file("x", "new"))
    with pytest.raises(Refused):
        host.plan({"kind": "attributes", "path": host.path("x"), "at_most": "0400"})
    assert asked == [(host.path("x"), True), (host.path("x"), False)]
    assert host.plan({"kind": "attributes", "path": host.path("x"), "at_most": "0777"}).changes == []


def test_placeholders_of_secrets_are_never_written(host: Host) -> None:
    digest = "hmac:0123456789abcdef"
    for resource in (host.json("d.json", {"mirrors": [f"https://{digest}@m"]}), host.file("x", digest)):
        with pytest.raises(Refused, match="the snapshot's placeholder for a secret would be written"):
            host.plan(resource)


def test_an_existing_file_that_should_be_absent_is_removed(host: Host) -> None:
    Path(host.path("x")).write_text("old")
    plan = host.plan({"kind": "absent", "path": host.path("x")})
    assert [change.what for change in plan.changes] == ["remove"]
    host.apply(plan)
    assert host.plan({"kind": "absent", "path": host.path("x")}).changes == []


def test_modes_are_only_tightened_and_missing_paths_are_not_created(host: Host) -> None:
    for name, mode in (("loose", 0o666), ("tight", 0o400)):
        Path(host.path(name)).write_text("")
        Path(host.path(name)).chmod(mode)
    resources = [
        {"kind": "attributes", "path": host.path(name), "at_most": "0640"}
        for name in ("loose", "tight", "no")
    ]
    (change,) = host.plan(*resources).changes
    assert (change.path, change.after.mode) == (host.path("loose"), 0o640)


def test_attributes_apply_to_a_file_of_another_document(host: Host) -> None:
    plan = host.plan_all(
        {"name": "a", "resources": [{"kind": "attributes", "path": host.path("x"), "at_most": "0600"}]},
        {"name": "b", "resources": [host.file("x", "text", mode="0644")]},
    )
    (change,) = plan.changes
    assert (change.after.mode, change.after.content, change.documents) == (0o600, b"text", ("b", "a"))


def test_a_file_that_hardener_created_is_removed_when_it_is_unwanted(host: Host) -> None:
    host.apply(host.plan(host.json("d.json", {"icc": False})))
    assert json.loads(Path(host.path("d.json")).read_text()) == {"icc": False}
    host.apply(host.plan(host.json("d.json", {})))
    assert not Path(host.path("d.json")).exists()
    assert "d.json" not in host.bookkeeping.read_text()


def test_a_file_that_existed_before_stays_when_its_last_key_is_unwanted(host: Host) -> None:
    Path(host.path("d.json")).write_text("{}")
    host.apply(host.plan(host.json("d.json", {"icc": False})))
    host.apply(host.plan(host.json("d.json", {})))
    assert json.loads(Path(host.path("d.json")).read_text()) == {}


def test_a_file_without_changed_keys_is_not_reformatted(host: Host) -> None:
    Path(host.path("d.json")).write_text('{"icc":false}')
    plan = host.plan(host.json("d.json", {"icc": False}))
    assert plan.all_changes == []


def test_keys_of_other_documents_keep_their_owners(host: Host) -> None:
    host.apply(host.plan(host.json("d.json", {"icc": False}), name="a"))
    host.apply(host.plan(host.json("d.json", {"mtu": 1400}), name="b"))
    host.apply(host.plan(host.json("d.json", {}), name="a"))
    assert json.loads(Path(host.path("d.json")).read_text()) == {"mtu": 1400}


def test_two_documents_that_set_different_values_of_a_key_are_refused(host: Host) -> None:
    def plan(icc: bool) -> Plan:
        return host.plan_all(
            {"name": "a", "resources": [host.json("d.json", {"icc": False})]},
            {"name": "b", "resources": [host.json("d.json", {"icc": icc, "mtu": 1})]},
        )

    (change,) = plan(False).changes
    assert json.loads(change.after.content or b"") == {"icc": False, "mtu": 1}
    with pytest.raises(Refused, match="another document sets a different value of icc"):
        plan(True)


def test_two_documents_cannot_write_the_same_file(host: Host) -> None:
    with pytest.raises(Refused, match="the document a writes the same file"):
        host.plan_all(
            {"name": "a", "resources": [host.file("x", "1")]},
            {"name": "b", "resources": [{"kind": "absent", "path": host.path("x")}]},
        )


def test_documents_that_agree_may_want_the_same_file(host: Host) -> None:
    plan = host.plan_all(
        {"name": "a", "resources": [host.file("x", "1"), {"kind": "absent", "path": host.path("y")}]},
        {"name": "b", "resources": [host.file("x", "1"), {"kind": "absent", "path": host.path("y")}]},
    )
    (change,) = plan.changes
    assert (change.path, change.documents) == (host.path("x"), ("a", "b"))
    with pytest.raises(Refused, match="the document a writes the same file"):
        host.plan_all(
            {"name": "a", "resources": [host.file("x", "1")]},
            {"name": "b", "resources": [host.file("x", "1", mode="0600")]},
        )


def test_a_folder_in_place_of_a_file_is_refused(host: Host) -> None:
    Path(host.path("x")).mkdir()
    with pytest.raises(Refused, match="the path is a folder"):
        host.plan(host.file("x", ""))


def test_a_change_to_the_target_of_a_link_is_found_by_the_path_of_the_link(host: Host) -> None:
    Path(host.path("target")).write_text("")
    Path(host.path("link")).symlink_to("target")
    plan = host.plan(host.file("link", "new"))
    assert plan.changed([host.path("link"), host.path("other")]) == [host.path("link")]
    assert plan.after(host.path("link")).content == b"new"
    assert plan.before(host.path("link")).content == b""


def test_a_plan_predicts_that_a_removed_file_has_no_content(host: Host) -> None:
    Path(host.path("x")).write_text("old")
    plan = host.plan({"kind": "absent", "path": host.path("x")})
    assert plan.after(host.path("x")).content is None


def test_a_damaged_record_of_managed_keys_is_refused(host: Host) -> None:
    host.bookkeeping.write_text("{")
    with pytest.raises(Refused, match=r"ownership\.json"):
        host.plan(host.json("d.json", {}))


def test_the_diff_shows_content_and_attributes(host: Host) -> None:
    Path(host.path("x")).write_text("one\n")
    Path(host.path("x")).chmod(0o666)
    (change,) = host.plan(host.file("x", "two\n")).changes
    diff = change.diff()
    assert "-one\n+two\n" in diff
    assert "-mode 0666\n+mode 0644\n" in diff


def test_a_diff_contains_no_terminal_controls(host: Host) -> None:
    Path(host.path("x")).write_bytes(b"\x1b]0;owned\x07 \xff \xe2\x80\xae\r\n")
    (change,) = host.plan(host.file("x", "")).changes
    assert not set(change.diff()) & set("\x1b\x07\r\u202e")
    assert "\\x1b" in change.diff()


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ('"http-proxy": "http://user:hunter2@proxy:3128"', "hunter2"),
        ('"splunk-token": "abc-def"', "abc-def"),
        ('"my_Password":"it\\"s"', "it"),
        ('"AWS_SECRET": "x1x2"', "x1x2"),
        ('"license_key": "x1x2"', "x1x2"),
        ('"labels": ["a=b", "db_password=x1x2"]', "x1x2"),
        ('"registry-mirrors": ["https://x1x2@mirror"]', "x1x2"),
        ("Environment=HTTPS_PROXY=http://user:x1@x2@proxy:3128", "x2"),
    ],
)
def test_passwords_are_removed_from_diffs(text: str, hidden: str) -> None:
    assert hidden in text
    assert hidden not in redacted(text)


@pytest.mark.parametrize("name", ["smtp-pass", "SMTP_PASS", "db.pass", "masterauth", "my-pwd", "x-token"])
@pytest.mark.parametrize("value", ["hunter2", 'hun\\"ter2', "hun ter2"])
@pytest.mark.parametrize("form", ['{{"log-opts": {{"{}": "{}"}}}}', 'Environment={}="{}"', 'set --{} "{}"'])
def test_what_a_snapshot_hides_is_in_no_diff(form: str, value: str, name: str) -> None:
    text = form.format(name, value)
    for shown in (redacted(text), Redactor().text(text, "x")):
        assert "hun" not in shown
        assert "ter2" not in shown


def test_ordinary_text_is_shown_unchanged() -> None:
    text = '"max-size": "10m", "url": "https://example.org/a@b" Grüße\n'
    assert visible(redacted(text), keep="\n\t") == text


@pytest.mark.parametrize(
    "content",
    [
        "x" * 1_000_000,
        "x" * 200_000,
        '"' * 100_000,
        "://" * 60_000,
        '"passw' * 30_000,
        '"password": "' * 15_000,
        "password=" * 20_000,
        "://a" * 60_000,
        "secret" * 40_000,
        "a\nb\n" * 100_000,
    ],
)
def test_the_diff_of_a_hostile_file_takes_a_bounded_time(host: Host, content: str) -> None:
    host.write("x", content[1:])
    (change,) = host.plan(host.file("x", content)).changes
    with must_end():
        change.diff()


def test_a_long_file_is_shown_by_its_size_and_hash(host: Host) -> None:
    host.write("x", "short\n")
    (change,) = host.plan(host.file("x", "x" * 300_000)).changes
    assert "-short\n+(300000 bytes, too long to be shown; sha256 " in change.diff()


def test_missing_lines_are_added_and_all_others_stay(host: Host) -> None:
    host.write("subuid", "alice:100000:65536\nbob:165536:65536")
    lines = {"kind": "lines", "path": host.path("subuid"), "lines": ["bob:165536:65536", "x:231072:65536"]}
    host.apply(host.plan(lines))
    assert host.read("subuid") == "alice:100000:65536\nbob:165536:65536\nx:231072:65536\n"
    assert host.plan(lines).changes == []


def test_two_documents_may_add_lines_to_a_missing_file(host: Host) -> None:
    def document(name: str) -> dict[str, Any]:
        return {
            "name": name,
            "resources": [{"kind": "lines", "path": host.path("subgid"), "lines": [f"{name}:1:2"]}],
        }

    host.apply(host.plan_all(document("a"), document("b")))
    assert host.read("subgid") == "a:1:2\nb:1:2\n"


@pytest.mark.parametrize("line", ["", "a\nb", 7])
def test_an_invalid_line_is_refused(host: Host, line: object) -> None:
    with pytest.raises(Refused, match="is not a line of text"):
        host.plan({"kind": "lines", "path": host.path("subgid"), "lines": [line]})
