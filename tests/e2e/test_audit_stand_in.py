"""What stands in for ``auditctl`` and ``augenrules`` in tests/faults does what they do on a guest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.audit import audit_rule

from hardener import lab
from tests.faults.services import NoEngine, Services

DEBIAN = "## First rule - delete all\n-D\n\n-b 8192\n--backlog_wait_time 60000\n-f 1\n"
LIMITS = "# Written by hardener.\n-b 8192\n-f 1\n"
DOCKER = """\
# Written by hardener.
-a always,exit -F arch=b64 -F path=/usr/bin/not-there -F perm=wax -F key=docker
-a always,exit -F arch=b64 -F dir=/etc/ssl -F perm=wa -F key=docker
"""
# What becomes of the files below rules.d before each loading; None: it goes.
STEPS: list[dict[str, str | None]] = [
    {"audit.rules": DEBIAN, "10-site.rules": "-w /etc/passwd -p wa -k site\n"},
    {},
    {"00-hardener-limits.rules": LIMITS, "50-hardener-docker.rules": DOCKER},
    {"00-hardener-limits.rules": None, "50-hardener-docker.rules": None},
    {"audit.rules": None},  # nothing deletes the rules that are loaded any more
    {"50-hardener-docker.rules": DOCKER},
    {"audit.rules": DEBIAN},
]
ON_GUEST = r"""
import glob, json, os, subprocess, sys

def run(*words):
    return subprocess.run(words, text=True, capture_output=True)

def content(path):
    return open(path).read() if os.path.exists(path) else None

for path in glob.glob("/etc/audit/rules.d/*") + glob.glob("/etc/audit/audit.rules*"):
    os.remove(path)
run("auditctl", "-D")
found = []
for files in json.load(sys.stdin):
    for name, text in files.items():
        path = f"/etc/audit/rules.d/{name}"
        if text is None:
            os.remove(path)
        else:
            with open(path, "w") as file:
                file.write(text)
    code = run("augenrules", "--load").returncode
    listed, status = run("auditctl", "-l"), run("auditctl", "-s")
    found.append({
        "code": code,
        "listed": [listed.returncode, listed.stdout],
        "status": [status.returncode, status.stdout],
        "joined": content("/etc/audit/audit.rules"),
        "mode": os.stat("/etc/audit/audit.rules").st_mode & 0o777,
        "former": content("/etc/audit/audit.rules.prev"),
    })
print(json.dumps(found))
"""


def stood_in(root: Path) -> list[dict[str, Any]]:
    """What the stand-ins do in each step."""
    services = Services(NoEngine(), root=root)
    folder = root / "etc/audit"
    (folder / "rules.d").mkdir(parents=True)
    found = []
    for files in STEPS:
        for name, text in files.items():
            if text is None:
                (folder / "rules.d" / name).unlink()
            else:
                (folder / "rules.d" / name).write_text(text)
        code = services.call(["augenrules", "--load"]).code
        joined, former = folder / "audit.rules", folder / "audit.rules.prev"
        found.append(
            {
                "code": code,
                "listed": services.call(["auditctl", "-l"])[:2],
                "status": services.call(["auditctl", "-s"])[:2],
                "joined": joined.read_text(),
                "mode": joined.stat().st_mode & 0o777,
                "former": former.read_text() if former.exists() else None,
            }
        )
    return found


def comparable(step: dict[str, Any]) -> dict[str, Any]:
    """What a run looks at: which rules there are, however they are written, and two of the settings."""
    code, listed = step["listed"]
    rules = [audit_rule(line) for line in listed.splitlines() if line != "No rules"]
    settings = dict(line.split(None, 1) for line in step["status"][1].splitlines() if " " in line)
    kept = {name: settings[name] for name in ("enabled", "failure")}
    return {**step, "listed": (code, rules), "status": (step["status"][0], kept)}


def test_the_stand_in_behaves_like_the_audit_system(guest: lab.Guest, tmp_path: Path) -> None:
    guest.ssh("sh", "-c", "apt-get install -y -qq --no-install-recommends auditd >/dev/null")
    real = json.loads(guest.ssh("python3", "-c", ON_GUEST, stdin=json.dumps(STEPS)).stdout)
    assert [*map(comparable, real)] == [*map(comparable, stood_in(tmp_path))]
