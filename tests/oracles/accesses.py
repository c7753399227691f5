"""Random audit rules and states of the daemon on a guest: what is in the log, and what the judge says."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ansible_collections.hardener.docker.plugins.module_utils.host.sources import PACKAGE

from hardener import lab
from hardener.checks.lib import auditrules
from tools import collector

COLLECTOR = "/root/collector.pyz"
BATCH = 15  # cases of one command, which may take minutes on a busy machine
TREE, FILE, INNER = "/srv/watched", "/srv/watched/file", "/srv/watched/inner/file"
# What is done to a path, by the permission that stands for it.
ON_GUEST = r"""
import json, os, subprocess, sys, time
TREE, FILE, INNER = sys.argv[1:4]
sys.path.insert(0, "COLLECTOR")
from PACKAGE.snapshot import audit
LOG = "/var/log/audit/audit.log"
CONF = "/etc/audit/auditd.conf"
RULES = "/root/case.rules"

def run(*words):
    return subprocess.run(words, text=True, capture_output=True).stdout

def configure(write_logs):
    # The log is never rotated: a case is read from where the log ended before it.
    settings = {"write_logs": write_logs, "max_log_file": "500"}
    text = open(CONF).read()
    changed = "\n".join(
        f"{name} = {settings[name]}" if (name := line.partition(" ")[0]) in settings else line
        for line in text.splitlines()
    ) + "\n"
    if changed != text:
        with open(CONF, "w") as file:
            file.write(changed)
        run("auditctl", "--signal", "reload")
        time.sleep(1)

# Wait until the daemon has written all events before this one.
def flush(mark):
    start = os.path.getsize(LOG)
    run("auditctl", "-m", mark)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with open(LOG, errors="replace") as file:
            file.seek(start)
            if mark in file.read():
                return
        time.sleep(0.1)
    sys.exit(f"the daemon has not written {mark!r} within 60 s")

def access(path, kind, user):
    child = os.fork()
    if child == 0:
        os.setuid(user)
        if kind == "w":
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
        elif kind == "a":
            os.chmod(path, 0o777)
        else:
            os.execv(path, [path])
        os._exit(0)
    os.waitpid(child, 0)

def events(text):
    found = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" msg=")
        found.setdefault(rest.partition(")")[0], []).append((kind.removeprefix("type="), rest))
    return found

def recorded(text, path, kind, user):
    calls = {"w": ("257", "437"), "a": ("90", "268"), "x": ("59",)}[kind]
    for records in events(text).values():
        calls_of = [rest for name, rest in records if name == "SYSCALL"]
        paths = [rest for name, rest in records if name == "PATH" and f'name="{path}"' in rest]
        for rest in calls_of:
            if paths and f" uid={user} " in rest and any(f" syscall={call} " in rest for call in calls):
                return True
    return False

os.makedirs(os.path.dirname(INNER), exist_ok=True)
for path in (FILE, INNER):
    with open(path, "w") as file:
        file.write("#!/bin/true\n")
    os.chmod(path, 0o777)
    os.chown(path, 1234, 1234)
results = []
for number, case in enumerate(json.load(sys.stdin)):
    run("auditctl", "-D")
    run("auditctl", "-r", str(case["rate"]))
    configure(case["write_logs"])
    writes = case["write_logs"] == "yes" and case["enabled"] and not case["rate"]
    with open(RULES, "w") as file:
        file.write("-i\n" + "\n".join(case["rules"]) + "\n")
    os.chmod(RULES, 0o600)
    run("auditctl", "-R", RULES)
    run("auditctl", "-e", str(case["enabled"]))
    listed = audit.loaded()["rules"]
    if writes:
        flush(f"before {number}")
    start = os.path.getsize(LOG)
    for path in (FILE, INNER):
        for kind in "wax":
            for user in (1234, 0):
                access(path, kind, user)
    if writes:
        flush(f"after {number}")
    with open(LOG, errors="replace") as file:
        file.seek(start)
        text = file.read()
    run("auditctl", "-e", "1")
    found = {
        f"{path} {kind} {user}": recorded(text, path, kind, user)
        for path in (FILE, INNER) for kind in "wax" for user in (1234, 0)
    }
    results.append({"rules": listed, "found": found})
run("auditctl", "-D")
run("auditctl", "-r", "0")
configure("yes")
print(json.dumps(results))
"""
CONDITIONS = (
    *("uid=1234", "uid!=1234", "uid=0", "euid>=1000", "uid=4321", "exe=/bin/true", "success=1", "success=0"),
    *("gid=0", "auid!=unset", "filetype=file", "filetype=dir", "arch=b32", "perm=w", "perm=a", "perm=wa"),
)
CALLS = ("openat", "chmod,fchmodat", "execve", "adjtimex", "unlinkat,openat", "all")


@dataclass(frozen=True)
class Case:
    """Rules as a person writes them, and how the kernel and the daemon are set."""

    rules: list[str]
    enabled: int = 1
    rate: int = 0
    write_logs: str = "yes"


def watch(dice: random.Random) -> str:
    path, permissions = dice.choice((TREE, FILE, INNER)), dice.choice(("wa", "w", "x", "rwxa", "wxa"))
    if dice.random() < 0.5:
        blank = dice.choice((" ", ""))
        return f"-w{blank}{path} -p{blank}{permissions} -k{blank}case"
    field = "dir" if path == TREE else "path"
    return f"-a always,exit -F arch=b64 -F {field}={path} -F perm={permissions} -F key=case"


def silence(dice: random.Random) -> str:
    where = dice.choice(("-a", "-a", "-A"))
    if dice.random() < 0.25:
        types = ("SYSCALL", "PATH", "CWD", "PROCTITLE", "EOE")
        narrower = dice.choice(("", " -F uid=1234", " -F uid=4321"))
        return f"-a {dice.choice(('always', 'never'))},exclude -F msgtype={dice.choice(types)}{narrower}"
    fields = [f" -F {condition}" for condition in dice.sample(CONDITIONS, dice.choice((0, 1, 1, 2)))]
    if dice.random() < 0.4:
        fields.append(
            dice.choice((f" -F dir={TREE}", f" -F path={FILE}", f" -F dir={TREE}/inner", " -F path=/srv"))
        )
    if not any("perm" in field for field in fields) and dice.random() < 0.4:
        fields.insert(0, f" -F arch=b64 -S {dice.choice(CALLS)}")
    return f"{where} never,exit{''.join(fields)}"


def case(dice: random.Random) -> Case:
    rules = [dice.choice((watch, watch, silence))(dice) for _ in range(dice.randint(1, 5))]
    if dice.random() < 0.15:
        rules.append(rules[0].replace("-a ", "-d ", 1) if rules[0].startswith("-a ") else "-D")
    return Case(
        rules,
        enabled=dice.choice((1, 1, 1, 1, 1, 1, 1, 0)),
        rate=dice.choice((0, 0, 0, 0, 0, 0, 1)),
        write_logs=dice.choice(("yes",) * 9 + ("no",)),
    )


@dataclass(frozen=True)
class Observed:
    """One list of rules: what the collector shows of it, and which accesses are in the log."""

    name: str
    case: Case
    listed: list[str]
    found: dict[str, bool]


def prepare(guest: lab.Guest) -> None:
    """Install the daemon, and put the collector on the guest, which reads the rules as it always does."""
    guest.ssh("sh", "-c", "apt-get install -y -qq --no-install-recommends auditd >/dev/null")
    with TemporaryDirectory() as folder:
        collector.make(Path(folder) / "one.pyz")
        packed = base64.b64encode((Path(folder) / "one.pyz").read_bytes()).decode()
    guest.ssh("sh", "-c", f"base64 -d >{COLLECTOR}", stdin=packed)


def observe(guest: lab.Guest, seed: int, number: int) -> Iterator[Observed]:
    """Load one list of rules after the other, touch the files, and search the log."""
    cases = [case(random.Random(f"{seed} {each}")) for each in range(number)]
    program = ON_GUEST.replace("COLLECTOR", COLLECTOR).replace("PACKAGE", PACKAGE)
    for begin in range(0, number, BATCH):
        some = cases[begin : begin + BATCH]
        told = guest.ssh(
            "python3", "-c", program, TREE, FILE, INNER, stdin=json.dumps([vars(one) for one in some])
        )
        for index, (one, result) in enumerate(zip(some, json.loads(told.stdout), strict=True)):
            yield Observed(f"case {begin + index} of seed {seed}", one, result["rules"], result["found"])


def judged(seen: Observed) -> dict[str, bool]:
    """For each path and permission, whether the judge says that it is recorded."""
    rules = auditrules.parse(seen.listed)
    works = (
        seen.case.enabled == 1
        and not auditrules.too_slow(seen.case.rate)
        and seen.case.write_logs == "yes"
        and not rules.suppressing
    )
    return {
        f"{path} {kind}": works and not rules.uncovered(path, kind)
        for path in (FILE, INNER)
        for kind in "wax"
    }


def disagreements(seen: Observed) -> list[str]:
    """What the judge says is recorded, and is not, of whichever user."""
    return [
        f"{seen.name}: {seen.case}: {what} is not recorded: {seen.listed}"
        for what, says in judged(seen).items()
        if says and not all(seen.found[f"{what} {user}"] for user in (1234, 0))
    ]
