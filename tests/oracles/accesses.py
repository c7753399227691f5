"""Random audit rules and states of the daemon on a guest: what is in the log, and what the judge says."""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.host.sources import PACKAGE
from ansible_collections.hardener.docker.plugins.module_utils.subjects.audit import too_slow

from hardener import lab
from hardener.checks.lib import auditrules
from hardener.checks.lib.auditrules import Rules
from tests.leftovers import scratch
from tools import collector

COLLECTOR = "/root/collector.pyz"
BATCH = 15  # cases of one command, which may take minutes on a busy machine
# No rule names the last one, which stands for everything else below the folder.
TREE = "/usr/lib/watched"
FOLDER = f"{TREE}/inner"  # nothing is done to it
FILE, INNER, OTHER = f"{TREE}/file", f"{FOLDER}/file", f"{FOLDER}/other"
PATHS = (TREE, FILE, INNER, OTHER)
USERS = (1234, 0)
# What is done to a path, by the permission that stands for it: the system calls, and their numbers.
CALLS = {
    "w": {"openat": 257, "unlinkat": 263, "truncate": 76},
    "a": {"fchmodat": 268, "fchownat": 260, "setxattr": 188},
    "x": {"execve": 59},
}
NUMBERS = {call: number for calls in CALLS.values() for call, number in calls.items()}
ON_GUEST = r"""
import json, os, re, subprocess, sys, time
from contextlib import suppress
TREE, FILE, INNER, OTHER = PATHS = PLACES
NUMBERS, USERS = CALLED, WHO
sys.path.insert(0, "COLLECTOR")
from PACKAGE.snapshot import audit
LOG = "/var/log/audit/audit.log"
CONF = "/etc/audit/auditd.conf"
RULES = "/root/case.rules"
ROOT = os.open("/", os.O_RDONLY)

def run(*words):
    return subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout

def configure(write_logs):
    # The log is never rotated: a case is read from where the log ended before it.
    settings = {
        "write_logs": write_logs, "max_log_file": "500", "log_format": "RAW", "flush": "NONE", "freq": "0",
    }
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

def reset(lines):
    run("auditctl", "-D")
    if any(line[:2] in ("-e", "-r") for line in lines):
        run("auditctl", "-e", "1")
        run("auditctl", "-r", "0")

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
        time.sleep(0.02)
    sys.exit(f"the daemon has not written {mark!r} within 60 s")

# The text of the file, and the numbers of the lines that the kernel or auditctl refuses.
def load(lines):
    with open(RULES, "w") as file:
        file.write("\n".join(["-i", *lines]) + "\n")
    os.chmod(RULES, 0o600)
    said = run("auditctl", "-R", RULES)
    return [number for number in range(len(lines)) if f"error in line {number + 2} of" in said]

def call(name, path):
    if name == "openat":
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
    elif name == "unlinkat":  # fails for a file and for a folder with files
        os.rmdir(path, dir_fd=ROOT)
    elif name == "truncate":
        os.truncate(path, os.path.getsize(path))
    elif name == "fchmodat":
        os.chmod(path, 0o777, dir_fd=ROOT)
    elif name == "fchownat":
        os.chown(path, -1, -1, dir_fd=ROOT)
    elif name == "setxattr":
        os.setxattr(path, "user.case", b"1")
    elif os.fork() == 0:
        try:
            os.execv(path, [path])
        finally:
            os._exit(1)
    else:
        os.wait()

def access():
    for user in USERS:
        if os.fork() == 0:
            os.setuid(user)
            for path in PATHS:
                for name in NUMBERS:
                    with suppress(OSError):  # the attempt is recorded all the same
                        call(name, path)
            os._exit(0)
        os.wait()

def events(text):
    found = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" msg=audit(")
        found.setdefault(rest.partition(")")[0], []).append((kind.removeprefix("type="), rest))
    return found

def recorded(seen, first, last):
    found = {f"{path} {name} {user}": False for path in PATHS for name in NUMBERS for user in USERS}
    for moment, records in seen.items():
        if first <= float(moment.partition(":")[0] or 0) < last:
            words = [rest.split() for name, rest in records if name == "SYSCALL"]
            for path in PATHS:
                if any(name == "PATH" and f'name="{path}"' in rest for name, rest in records):
                    for name, number in NUMBERS.items():
                        for user in USERS:
                            if any(f"syscall={number}" in each and f"uid={user}" in each for each in words):
                                found[f"{path} {name} {user}"] = True
    return found

os.makedirs(os.path.dirname(INNER), exist_ok=True)
for path in (FILE, INNER, OTHER):
    with open(path, "w") as file:
        file.write("#!/bin/true\n")
    os.chmod(path, 0o777)
    os.chown(path, 1234, 1234)
results = []
reset(["-e", "-r"])
for number, case in enumerate(json.load(sys.stdin)):
    lines = case["lines"]
    configure(case["write_logs"])
    start = os.path.getsize(LOG)
    refused = load(lines)
    seen = audit.loaded()
    begin = time.time()
    time.sleep(0.02)  # the kernel's clock of records is coarser
    access()
    time.sleep(0.02)
    between = time.time()
    fewer = [line for line in lines if not re.search("never,(exit|task)|(exit|task),never", line)]
    if fewer != lines:
        reset(lines)
        load(fewer)
        access()
    remaining = audit.loaded()["rules"] if fewer != lines else seen["rules"]
    time.sleep(0.02)
    end = time.time()
    reset(lines)
    if case["write_logs"] == "yes":
        flush(f"case {number} {end}")
    with open(LOG, errors="replace") as file:
        file.seek(start)
        text = events(file.read())
    found = recorded(text, begin, between)
    results.append({
        "refused": refused, "listed": seen["rules"], "status": seen["status"], "found": found,
        "fewer": remaining, "without": recorded(text, between, end) if fewer != lines else found,
    })
configure("yes")
print(json.dumps(results))
"""
# What auditctl 4 lists for the permissions w and a.
WRITING = (
    "open,bind,truncate,ftruncate,rename,mkdir,rmdir,creat,link,unlink,symlink,mknod,acct,swapon,quotactl,"
    "openat,mkdirat,mknodat,unlinkat,renameat,linkat,symlinkat,fallocate,renameat2,openat2"
)
CHANGING = (
    "chmod,fchmod,chown,fchown,lchown,setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr,"
    "fchownat,linkat,fchmodat"
)
# Conditions, and for which of our users they hold.
HOLD: dict[str, tuple[int, ...]] = {
    "-F uid=1234": (1234,),
    "-F uid!=1234": (0,),
    "-F uid=0": (0,),
    "-F euid>=1000": (1234,),
    "-F euid<1000": (0,),
    "-F gid=0": USERS,
    "-F uid=4321": (),
    "-C uid=euid": USERS,
    "-C uid!=euid": (),
    "-F arch!=b32": USERS,
}
# Conditions that may hold for some accesses of a user, or that the judge may not understand.
OTHERS = (
    *("exe=/bin/true", "success=1", "success=0", "auid!=unset", "filetype=file", "filetype=dir"),
    *("arch=b32", "perm=w", "perm=a", "perm=wa"),
)
# Lines that change no rule; auditctl reads no other option after -i.
IDLE = (
    *(f"-i -w {TREE} -p wxa",) * 2,
    "-b 8192",
    "-f 1",
    "-r 0",
    "-r 1000",
    "-e 1",
    "--backlog_wait_time 60000",
    "--reset-lost",
)


@dataclass(frozen=True)
class Case:
    """Rules as a person writes them, and whether the daemon writes them down."""

    lines: list[str]
    write_logs: str = "yes"


@dataclass(frozen=True)
class Dice:
    """Chooses the lines of one case.

    In most cases all conditions are about one user, and such that the judge's answer is exactly what is
    recorded of that user: no rule with a condition records him, and each that suppresses records does.
    """

    random: random.Random
    victim: int | None

    def one(self, *choices: str) -> str:
        return self.random.choice(choices)

    def likely(self, chance: float) -> bool:
        return self.random.random() < chance

    def condition(self, *, always: bool) -> str:
        exact = [each for each, users in HOLD.items() if (self.victim in users) is not always]
        return self.one(*exact if self.victim is not None else (*HOLD, *(f"-F {each}" for each in OTHERS)))

    def path(self) -> str:
        """A path, sometimes by the link of the system to its folder."""
        return self.one("", "/usr") + self.one(TREE, TREE, FILE, INNER).removeprefix("/usr")

    def place(self, path: str, *, entry: bool = True) -> str:
        """The path as a folder's tree, or as an entry."""
        tree = path.endswith("watched") and not (entry and self.likely(0.3))
        return f"-F {'dir' if tree else 'path'}={path}"


def watch(dice: Dice) -> str:
    blank, path = dice.one(" ", ""), dice.path()
    path += dice.one("", "", "/") if path.endswith("watched") else ""
    permissions = dice.one(*(f" -p{blank}{each}" for each in ("wa", "w", "x", "rwxa", "wxa", "a")), "")
    return f"-w{blank}{path}{permissions}{dice.one('', f' -k{blank}case')}"


def insert(words: list[str], condition: str) -> None:
    """Add a condition, before -S if it is about the architecture: auditctl drops other lines silently."""
    words.insert(1 if "arch" in condition else len(words), condition)


def always(dice: Dice) -> str:
    architecture = dice.one(*("-F arch=b64",) * 5, "-F arch=x86_64", "-F arch=b32", "", "")
    words = [dice.one("-a always,exit", "-a always,exit", "-A exit,always"), architecture]
    if architecture and dice.likely(0.4):
        calls = dice.one(WRITING, CHANGING, f"{WRITING},{CHANGING}", "execve").split(",")
        if dice.likely(0.5):
            calls.remove(dice.one(*(call for call in calls if call in NUMBERS)))
        some = dice.random.randrange(len(calls) + 1)
        words += [f"-S {','.join(part)}" for part in (calls[:some], calls[some:]) if part]
    elif dice.likely(0.2):
        words.append("-S all")
    words.append(dice.place(dice.path()))
    if len(words) == 3 or dice.likely(0.2):  # auditctl adds the calls of a permission to the listed ones
        words.append(f"-F perm={dice.one('wa', 'w', 'x', 'rwxa', 'wxa')}")
    if dice.likely(0.3):
        insert(words, dice.condition(always=True))
    return " ".join(filter(None, [*words, dice.one("", "-k case", "-F key=case")]))


def never(dice: Dice) -> str:
    words = [dice.one("-a never,exit", "-a never,exit", "-A never,exit", "-a exit,never")]
    if dice.likely(0.15):
        words.append("-F arch=b32")
    elif dice.likely(0.4):
        some = ("openat", "truncate,openat", "fchmodat,fchownat", "execve", "setxattr", "adjtimex", "all")
        words.append(
            f"-F arch={dice.one('b64', 'b64', 'x86_64', '0xC000003E')} -S {dice.one(*some, '257', '268')}"
        )
    if dice.likely(0.6):
        # The judge does not know which calls also look up the folder that an entry is in.
        place = dice.place(dice.path(), entry="-S" not in words[-1])
        words.append(place if dice.likely(0.8) else dice.one("-F path=/srv", "-F dir=/srv"))
    if dice.likely(0.3):
        words.append(f"-F perm={dice.one('w', 'a', 'x', 'wa')}")
    if dice.likely(0.4):
        insert(words, dice.condition(always=False))
    return " ".join(words)


def task(dice: Dice) -> str:
    return dice.one(
        "-a never,task", "-a task,never -F uid=0", "-a never,task -F uid=4321", "-a always,task -F uid=4321"
    )


def exclude(dice: Dice) -> str:
    action = dice.one("-a always,exclude", "-a never,exclude", "-a exclude,always")
    types = ("=SYSCALL", "=PATH", "=1302", ">=1300", "<=1302", ">1302", "<1300", "!=CWD", "!=1300")
    harmless = ("=CWD", "=PROCTITLE", "=EOE", "=1307", ">1302", "<1300") * 2
    words = [
        action,
        *(f"-F msgtype{dice.one(*types, *harmless)}" for _ in range(dice.random.choice((0, 1, 1, 1, 2)))),
    ]
    if dice.likely(0.2):
        words.append(dice.one("-F uid=1234", "-F uid=0", "-F uid=4321"))
    return " ".join(words)


def filesystem(dice: Dice) -> str:
    kind = dice.one("=debugfs", "=tracefs", "=0xEF53", "!=debugfs")
    return f"-a {dice.one('never', 'never', 'always')},filesystem -F fstype{kind}"


def folder(dice: Dice) -> str:
    """A rule about the folder as an entry of its own."""
    permissions = dice.one("", "", " -F perm=w", " -F perm=a")
    action = dice.one("never", "never", "always")
    path = dice.one(TREE, FOLDER)
    return f"-a {action},exit -F path={path}{permissions}"


def undone(dice: Dice, line: str) -> str:
    """The line that deletes the rule of this line, sometimes in another notation."""
    match re.fullmatch(r"-w ?(\S+?)/?(?: -p ?(\w+))?( -k ?case)?", line):
        case re.Match() as found if dice.likely(0.5):
            path, permissions, key = found.groups()
            place = f"{'dir' if path.endswith('watched') else 'path'}={path}"
            line = f"-a always,exit -F {place} -F perm={permissions or 'rwxa'}{' -F key=case' if key else ''}"
    return re.sub("^-w", "-W", re.sub("^-[aA]", "-d", line))


def case(dice: Dice) -> Case:
    kinds = (watch,) * 6 + (always,) * 5 + (never,) * 4 + (folder, task, exclude, filesystem)
    lines = [dice.random.choice(kinds)(dice) for _ in range(dice.random.randint(1, 4))]
    if dice.likely(0.6):
        lines.append(watch(dice))
    if dice.likely(0.3):
        chosen = dice.random.randrange(len(lines))
        lines.insert(dice.random.randint(chosen + 1, len(lines)), undone(dice, lines[chosen]))
    if dice.likely(0.3):
        lines.insert(dice.random.randint(0, len(lines)), dice.one(*IDLE))
    if dice.likely(0.1):
        lines.insert(dice.random.randint(0, len(lines)), dice.one("-D", "-D", "-e 0", "-r 1"))
    return Case(lines, "no" if dice.likely(0.03) else "yes")


def drawn(seed: int, number: int) -> Case:
    """A case of a seed."""
    chosen = random.Random(f"{seed} {number}")
    return case(Dice(chosen, chosen.choice((*USERS, *USERS, None))))


@dataclass(frozen=True)
class Observed:
    """One list of rules: what the collector shows of it, and which accesses are in the log.

    ``fewer`` and ``without`` are the rules and the accesses without all rules that suppress records.
    """

    name: str
    case: Case
    refused: list[int]
    status: dict[str, Any]
    listed: list[str]
    found: dict[str, bool]
    fewer: list[str]
    without: dict[str, bool]


def prepare(guest: lab.Guest) -> None:
    """Install the daemon, and put the collector on the guest, which reads the rules as it always does."""
    guest.ssh("sh", "-c", "apt-get install -y -qq --no-install-recommends auditd >/dev/null")
    with scratch("collector") as folder:
        collector.make(folder / "one.pyz")
        packed = base64.b64encode((folder / "one.pyz").read_bytes()).decode()
    guest.ssh("sh", "-c", f"base64 -d >{COLLECTOR}", stdin=packed)


def observe(guest: lab.Guest, seed: int, number: int) -> Iterator[Observed]:
    """Load one list of rules after the other, touch the files, and search the log."""
    cases = [drawn(seed, each) for each in range(number)]
    program = ON_GUEST.replace("COLLECTOR", COLLECTOR).replace("PACKAGE", PACKAGE)
    program = (
        program.replace("PLACES", repr(PATHS)).replace("CALLED", repr(NUMBERS)).replace("WHO", repr(USERS))
    )
    for begin in range(0, number, BATCH):
        some = cases[begin : begin + BATCH]
        told = guest.ssh("python3", "-c", program, stdin=json.dumps([vars(one) for one in some]))
        for index, (one, result) in enumerate(zip(some, json.loads(told.stdout), strict=True)):
            yield Observed(f"case {begin + index} of seed {seed}", one, **result)


@dataclass(frozen=True)
class Asked:
    """What the judge is asked: whether a permission is recorded of a path, or of all below it too."""

    path: str
    kind: str
    tree: bool = False

    def real(self, found: dict[str, bool], user: int) -> bool:
        """Whether everything that this is about is in the log."""
        paths = PATHS if self.tree else (self.path,)
        return all(found[f"{path} {call} {user}"] for path in paths for call in CALLS[self.kind])

    def recorded(self, rules: Rules) -> bool:
        """What the judge says."""
        return not rules.uncovered(self.path, self.kind, tree=self.tree)


QUESTIONS = tuple(Asked(path, kind) for path in PATHS for kind in CALLS) + tuple(
    Asked(TREE, kind, tree=True) for kind in CALLS
)


def accepted(seen: Observed) -> list[str]:
    """The lines of the file that have an effect."""
    return [line for number, line in enumerate(seen.case.lines) if number not in seen.refused]


def readings(seen: Observed) -> Iterator[tuple[str, Rules, bool]]:
    """The rules as the kernel has them and as they were written, and whether any record is kept."""
    writes = seen.case.write_logs == "yes"
    listed = auditrules.parse(seen.listed)
    slow = too_slow(seen.status["rate_limit"])
    on = seen.status["enabled"] == 1 and not slow and not listed.suppressing
    yield "listed", listed, writes and on
    written = auditrules.parse(accepted(seen))
    yield "written", written, writes and written.enabled and not written.suppressing


def _records_some_calls(lines: Iterable[str]) -> bool:
    return any(re.search(r"(always,exit|exit,always).*-S (?!all)", line) for line in lines)


def exact(lines: Iterable[str], user: int) -> bool:
    """Whether the judge assumes of these lines exactly what they do to the accesses of this user."""
    lines = list(lines)
    if _records_some_calls(lines) and any(re.search(r"never.*-S (?!all)", line) for line in lines):
        return False
    for line in lines:
        suppresses = "always,exit" not in line and "exit,always" not in line and line[:2] not in ("-w", "-W")
        if ("-F arch=b32" in line and suppresses) or "always,task" in line:
            continue
        if re.search(r"-S \d|^-r 1$|perm=.*perm=|arch!=" if suppresses else r"-S (?!all).*perm=", line):
            return False
        conditions = re.findall(r"-[FC] (?!(?:path|dir|perm|key|arch)=|msgtype|fstype)\S+", line)
        if (
            "task" in line and conditions and user
        ):  # asked of who starts a process: root, for the kind x the user
            return False
        held = [user in HOLD[each] if each in HOLD else None for each in conditions]
        if None in held or (held and suppresses is not all(held)):
            return False
    return True


def judged(seen: Observed) -> dict[Asked, bool]:
    """Whether the judge says that it is recorded, of the rules that the kernel has."""
    _, rules, works = next(readings(seen))
    return {asked: works and asked.recorded(rules) for asked in QUESTIONS}


def disagreements(seen: Observed) -> list[str]:
    """Where the judge contradicts the log."""
    lines = accepted(seen)
    certain = [user for user in USERS if exact(lines, user)]
    wrong = []
    for form, rules, works in readings(seen):
        for asked in QUESTIONS:
            says = works and asked.recorded(rules)
            if says:
                wrong += [
                    f"{form}: {asked} is not recorded of {user}"
                    for user in USERS
                    if not asked.real(seen.found, user)
                ]
            elif not (asked.tree and any(f"path={FOLDER}" in line.split() for line in lines)):
                wrong += [
                    f"{form}: {asked} is recorded of {user}"
                    for user in certain
                    if asked.real(seen.found, user)
                ]
            if works:
                wrong += [f"{form}: {why}" for why in explained(seen, rules, asked, certain)]
    wrong += evidence(seen)
    return [f"{seen.name}: {each}: {seen.case}: {seen.listed}" for each in wrong]


def explained(seen: Observed, rules: Rules, asked: Asked, users: Sequence[int]) -> Iterator[str]:
    """What is wrong with the rules that the judge names as the reason, and as those about a path."""
    missing = rules.uncovered(asked.path, asked.kind, tree=asked.tree)
    named = rules.silencing(asked.path, missing, tree=asked.tree)
    if not all("never" in text for text in named):
        yield f"{asked}: a rule that suppresses nothing is named: {named}"
    for user in users:
        if not named and asked.real(seen.without, user) and not asked.real(seen.found, user):
            yield f"{asked}: no rule is named that suppresses records of {user}"
    about = rules.about(asked.path)
    others = replace(rules, rules=tuple(rule for rule in rules.rules if rule in about or not rule.path))
    if others.uncovered(asked.path, asked.kind, tree=asked.tree) != missing:
        yield f"{asked}: rules that are not about it decide it"


def evidence(seen: Observed) -> Iterator[str]:
    """What is wrong with the declared rules that the judge finds in the kernel, or not."""
    loaded = auditrules.parse(seen.listed)
    fewer = auditrules.parse(seen.fewer)
    for rule in auditrules.parse(accepted(seen)).rules:
        if not loaded.has(rule) and not re.search(r"(-S |arch=)\d", rule.text):
            yield f"is loaded, and not found: {rule}"
        if not rule.always and fewer.has(rule):
            yield f"is not loaded, and found: {rule}"
