"""What a recording contains of the files that a container opened."""

from __future__ import annotations

from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.record import opened


def one(path: bytes, **how: Any) -> dict[str, Any]:
    unopened = {"program": "web", "folder": False, "read": False, "written": False, "executed": False}
    return {"path": path, "phases": [0], **unopened, **how}


def test_read_files_are_those_that_still_have_a_path() -> None:
    found = opened.read(
        one(path, folder=folder, read=True)
        for path, folder in (
            (b"/etc/x", False),
            (b"/etc", True),
            (b"/", True),
            (b"/tmp/gone (deleted)", False),
            (b"/tmp/gone (deleted)", True),
            (b"/tmp/\x1b[2J", False),
        )
    )
    assert found == ["/", "/etc/", "/etc/x", "/tmp/\\x1b[2J"]
    assert opened.read([one(b"/run/pid", written=True)]) == []


def test_users_are_the_programs_that_opened_a_path_to_change_or_execute_it() -> None:
    found = opened.users(
        [
            one(b"/run/pid", written=True, phases=[0, 4]),
            one(b"/run/pid", written=True, program="sh", phases=[5]),
            one(b"/run/pid", read=True, program="only-reads"),
            one(b"/tmp/gone (deleted)", written=True, program="sort", phases=[4]),
            one(b"/elsewhere", written=True),
            one(b"/bin/sh", executed=True, program="init"),
            one(b"/bin/sh", read=True, program="cp"),
            one(b"/bin/not-listed", executed=True),
        ],
        changed=["/run/pid", "/tmp/", "/never-opened"],
        executed=["/bin/sh"],
    )
    assert found == {
        "/bin/sh": {"programs": ["init"], "phases": [0]},
        "/run/pid": {"programs": ["sh", "web"], "phases": [0, 4, 5]},
        "/tmp/": {"programs": ["sort"], "phases": [4]},
    }
