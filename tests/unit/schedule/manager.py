"""A systemctl that keeps what it is asked, and knows units from the folder that they lie in."""

from __future__ import annotations

from pathlib import Path

import pytest

_SYSTEMCTL = """\
#!/bin/sh
echo "$*" >> {folder}/asked
[ "$1" = --user ] && shift
verb=$2
case "$verb" in
enable|disable) [ -e {folder}/refuses ] && {{ printf 'first\\nno bus\\n' >&2; exit 1; }}; shift 2
    [ "$verb" = enable ] && touch {folder}/enabled || rm -f {folder}/enabled ;;
show) case "$3" in
    *.timer) [ -e {folder}/enabled ] && printf 'ActiveState=active\\nUnitFileState=enabled\\n' ||
        printf 'ActiveState=inactive\\nUnitFileState=\\n'
        printf 'NextElapseUSecRealtime=Thu 2026-11-26 00:12:41 UTC\\nLastTriggerUSec=n/a\\n' ;;
    *) cat {folder}/service 2>/dev/null ;;
    esac ;;
clean|reset-failed) exit 1 ;;
esac
exit 0
"""


class Manager:
    """The fake: its unit files, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.units = folder / "units"
        self.units.mkdir()

    def asked(self) -> list[str]:
        """What it was asked since the last time, but for looks at units."""
        path = self.folder / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line.removeprefix("--no-pager ") for line in lines if " show " not in line]

    def ran(self, **properties: str) -> None:
        """The service has run."""
        (self.folder / "service").write_text("".join(f"{key}={value}\n" for key, value in properties.items()))


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manager:
    folder = tmp_path / "manager"
    programs = folder / "bin"
    programs.mkdir(parents=True)
    fake = programs / "systemctl"
    fake.write_text(_SYSTEMCTL.format(folder=folder))
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    running = Manager(folder)
    monkeypatch.setattr("hardener.schedule.systemd.RUNNING", folder)
    monkeypatch.setattr("hardener.schedule.systemd.SYSTEM_UNITS", running.units)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return running
