"""A tool is the host's, or fetched for a run; where neither is possible, one line says why."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Absent, Failed
from ansible_collections.hardener.docker.plugins.module_utils.record import tools

SIMULATED = (
    "Inst libelf1t64 (0.192-4 Debian:13 [amd64])\nInst bpftool (7.5.0 Debian:13 [amd64])\nConf bpftool (7)\n"
)


class Apt:
    """Stands for apt-get and dpkg-deb."""

    def __init__(self, *answers: str | Failed) -> None:
        self.commands: list[list[str]] = []
        self._answers = list(answers)

    def run(self, program: str, *words: str, timeout: float) -> str:
        """What the program would do: a package is unpacked to a bpftool that says where its libraries are."""
        assert timeout > 0
        self.commands.append([program, *words])
        if "--simulate" in words:
            answer = self._answers.pop(0)
            if isinstance(answer, Failed):
                raise answer
            return answer
        if "download" in words:
            Path("bpftool.deb").touch()
        if program == "dpkg-deb":
            for folder in ("usr/sbin", "usr/lib/x86_64-linux-gnu"):
                os.makedirs(folder)  # noqa: PTH103 - where the caller is
            Path("usr/sbin/bpftool").write_text('#!/bin/sh\necho "$LD_LIBRARY_PATH $*"\n')
            Path("usr/sbin/bpftool").chmod(0o755)
        return ""


def test_a_fetched_program_runs_with_its_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = Apt(Failed("no lists"), SIMULATED)
    monkeypatch.setattr(tools, "run", apt.run)
    program = tools.fetch(str(tmp_path))
    said = subprocess.run([program, "a b"], capture_output=True, text=True, check=True).stdout
    assert said == f"{tmp_path}/usr/lib/x86_64-linux-gnu a b\n"
    assert ["apt-get", "-q", "update"] in apt.commands  # as the lists were missing
    assert apt.commands[3][-3:] == ["download", "libelf1t64", "bpftool"]
    assert not [words for words in apt.commands if "install" in words and "--simulate" not in words]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ((Failed("a"), Failed("apt-get: no network")), "bpftool cannot be fetched: apt-get: no network"),
        (
            ("Inst bpftool (1)\n" + "".join(f"Inst p{n} (1)\n" for n in range(16)),),
            "would install 17 packages for it, and at most 16 are allowed",
        ),
        (("Inst p1 (1)\n",), "would not install a package of this name"),
    ],
)
def test_a_program_that_cannot_be_fetched_is_reported_with_the_reason(
    answers: tuple[str | Failed, ...], reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "run", Apt(*answers).run)
    with pytest.raises(Failed, match=reason):
        tools.fetch(str(tmp_path))


def test_a_missing_tool_is_fetched_on_request_only(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"apt-get": "/usr/bin/apt-get", "dpkg-deb": "/usr/bin/dpkg-deb"}
    mounted: list[str] = []
    monkeypatch.setattr(tools, "find_program", there.get)
    monkeypatch.setattr(tools, "fetch", lambda folder: f"{folder}: fetched")
    monkeypatch.setattr(tools, "mount", lambda _kind, folder, **_options: mounted.append(folder))
    with pytest.raises(Absent, match="there is no bpftool: apt-get install bpftool, or give --install"):
        tools.provide("")
    assert tools.provide("/x") == "/x/bpftool: fetched"
    assert mounted == ["/x/bpftool"]
    del there["dpkg-deb"]
    with pytest.raises(Failed, match="bpftool cannot be fetched: there is no dpkg-deb"):
        tools.provide("/x")
    there["bpftool"] = "/usr/sbin/bpftool"
    assert tools.provide("") == "bpftool"
