"""What a recording contains of the files that a container opened."""

from __future__ import annotations

from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.record import opened


def use(path: bytes, **how: Any) -> dict[str, Any]:
    return {"path": path, "program": "web", "written": [], "executed": [], **how}


def test_read_files_are_those_that_still_have_a_path() -> None:
    found = opened.read(
        {"path": path, "folder": folder}
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


def test_programs_are_those_that_opened_a_path_to_write_or_execute_it() -> None:
    found = opened.used_by(
        [
            use(b"/run/pid", written=[0, 4]),
            use(b"/run/pid", written=[5], program="sh"),
            use(b"/tmp/gone (deleted)", written=[4], program="sort"),
            use(b"/tmp/kept", written=[4]),
            use(b"/elsewhere", written=[0]),
            use(b"/bin/sh", executed=[1], program="init"),
            use(b"/bin/sh", written=[0], program="cp"),
            use(b"/bin/not-listed", executed=[0]),
        ],
        {"/run/pid", "/tmp/", "/tmp/kept", "/never-opened"},
        {"/bin/sh"},
    )
    assert found == {
        "/bin/sh": {"programs": ["init"], "phases": [1]},
        "/run/pid": {"programs": ["sh", "web"], "phases": [0, 4, 5]},
        "/tmp/": {"programs": ["sort"], "phases": [4]},
        "/tmp/kept": {"programs": ["web"], "phases": [4]},
    }
