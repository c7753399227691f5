"""Section 1.1: check that the kernel audits access to the engine's files and programs."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Sequence

from ansible_collections.hardener.docker.plugins.module_utils.subjects import audit
from ansible_collections.hardener.docker.plugins.module_utils.subjects.host import Subject, commands

from hardener.checks import check
from hardener.checks.lib import auditfiles, auditrules, fields
from hardener.checks.lib.settings import Facts
from hardener.checks.lib.verdicts import failed, listed, manual, needs_engine, not_applicable, passed
from hardener.model import Offender, Status, Undecided, Verdict
from hardener.snapshot import JSONObject, Snapshot

_WORDS = {"w": "write", "a": "attribute change", "x": "execution"}
_SHOWN = 8
_ALWAYS_MOUNTED = frozenset({"/", "/run"})  # before systemd starts the first unit
_PLACES = {
    "augenrules": f"{audit.RULES_FOLDER} (loaded by augenrules)",
    "auditctl": audit.RULES,
    "": "/etc/audit",
}
_OLDER = "the snapshot is of an earlier collector, which did not read log_format of auditd.conf: audit again"
_DIFFERENT = (
    f"it is not known which program loads rules at boot, and {audit.RULES} has other rules than"
    f" {audit.RULES_FOLDER}: have them in {audit.RULES_FOLDER}, and run `augenrules --load`"
)


def _register(subject: Subject) -> None:
    """Register the check that a subject is audited."""

    @check(f"audit-{subject.name}")
    @needs_engine
    def audited(snapshot: Snapshot) -> Verdict:
        host = Facts(snapshot)
        watched = subject.find(host)
        if not watched:
            return not_applicable(f"not on this host: {subject.words}")
        return _decide(snapshot, host, watched, subject.demanded)


def _decide(snapshot: Snapshot, host: Facts, watched: Sequence[audit.Watched], permissions: str) -> Verdict:
    wanted = ", ".join(_WORDS[permission] for permission in permissions)
    expected = f"{_names(watched)}: {wanted} recorded by a loaded rule and by a persistent rule"
    native = "b32" if snapshot.fact("system").get("arch") in audit.NARROW_MACHINES else "b64"
    files = snapshot.fact_or("audit.persistent", [])
    made = auditfiles.made_at_boot(files)
    persistent = {
        program: auditfiles.at_boot(lines, made, native=native)
        for program, lines in auditfiles.rule_sets(files).items()
    }
    program, started = _loader(host)
    at_boot = [found for loader, found in persistent.items() if program in ("", loader)]
    source = snapshot.fact_or("audit.loaded", None)
    if source is None:
        return failed(
            expected,
            "auditd is not installed: nothing is recorded",
            offenders=[Offender("file", item.path, "not audited") for item in watched],
        )
    listed_rules = source.get("rules") or ()
    loaded = auditrules.parse(listed_rules, native=native)
    status = source.get("status") or {}
    lasting = [found for found in at_boot if found.rules.enabled]
    offenders = []
    daemon = fields.table(source, "daemon", "audit.loaded")
    unclear = [] if "log_format" in daemon else [_OLDER]
    for item in watched:
        in_kernel = loaded.uncovered(item.path, permissions, tree=item.tree)
        in_sets = [(each, each.rules.uncovered(item.path, permissions, tree=item.tree)) for each in lasting]
        in_best, in_files = min(
            in_sets,
            key=lambda pair: (len(pair[1]), -len(pair[0].rules.rules)),
            default=(auditfiles.AtBoot(auditrules.Rules(())), frozenset(permissions)),
        )
        silencing = loaded.silencing(item.path, in_kernel, tree=item.tree)
        silencing += in_best.rules.silencing(item.path, in_files, tree=item.tree)
        offenders += [
            Offender("file", item.path, reason + _silencing_reason(silencing) + _ended(in_files, in_best))
            for reason in _reasons(in_kernel, in_files, _PLACES[program])
        ]
        if not in_files and (len(lasting) < len(at_boot) or any(missing for _rules, missing in in_sets)):
            unclear.append(_DIFFERENT)
        if not in_files:
            unclear += _may_end(in_best, in_best.unloaded(loaded, listed_rules), item, permissions)
        unclear += _mounted_later(snapshot.fact("mounts"), item, started)
    offenders += [Offender("setting", "auditing", why) for why in audit.hindrances(host)]
    offenders += [
        Offender("setting", "auditing", f"a loaded rule suppresses records: {text}")
        for text in loaded.suppressing
    ]
    offenders += [
        Offender("setting", "auditing", f"a persistent rule suppresses records after a reboot: {text}")
        for text in _suppressed_in_all([found.rules for found in lasting])
    ]
    process = f"auditd pid {status.get('pid')}"
    evidence = [f"auditing: enabled {status.get('enabled')}, {process}, lost {status.get('lost')}"]
    evidence += _about(loaded, watched)
    evidence += _not_loaded(loaded, [found.rules for found in persistent.values()], watched)
    evidence += _losses(daemon)
    unknown = listed(list(dict.fromkeys(unclear)), 2, glue="; ")
    if not offenders and unclear:
        return manual(expected, unknown, evidence=evidence, checked=len(watched))
    if not offenders:
        return passed(expected, "recorded now and after a reboot", evidence=evidence, checked=len(watched))
    return failed(
        expected,
        listed([f"{offender.name}: {offender.detail}" for offender in offenders], 2, glue="; "),
        offenders=offenders,
        evidence=evidence,
        checked=len(watched),
        undecided=Undecided(Status.MANUAL, unknown) if unclear else None,
    )


def _loader(host: Facts) -> tuple[str, int]:
    """Return the program that loads rules at boot, "" if it is not known, and when its unit started last."""
    for unit in map(host.unit, ("audit-rules.service", "auditd.service")):
        for argv in commands(unit) if "ExecStartPost" in unit else ():
            program = posixpath.basename(argv[0]) if argv else ""
            if (program == "augenrules" and "--load" in argv) or (
                program == "auditctl" and audit.RULES in argv
            ):
                return program, unit.get("ExecMainStartTimestampMonotonic") or 0
    return "", 0


def _mounted_later(mounts: Iterable[JSONObject], item: audit.Watched, started: int) -> Iterator[str]:
    """Describe the mounts over a path, or in its tree, that may be newer than the loaded rules.

    The kernel finds the file of a rule when the rule is loaded. It records no access to what is mounted over
    that file later.
    """
    path = auditrules.canonical(item.path)
    for mount in mounts:
        point = mount["mount_point"]
        over = f"{path}/".startswith(f"{point}/") and point not in _ALWAYS_MOUNTED
        within = item.tree and not item.mounts and point.startswith(f"{path}/")
        if (over or within) and not 0 < mount.get("since", 0) < started:
            yield (
                f"{point} ({mount['fstype']}) may have been mounted after the rules were loaded, which then"
                f" do not record access to {path}: reboot the host"
            )


def _losses(daemon: JSONObject) -> list[str]:
    """Return the settings by which auditd loses records when a log or a disk is full."""
    return [
        f"auditd.conf: {key} = {value.upper()}: {actions[value]}"
        for key, actions in audit.LOSSES.items()
        if key in daemon and (value := str(daemon[key] or "ignore").lower()) in actions
    ]


def _suppressed_in_all(persistent: Sequence[auditrules.Rules]) -> list[str]:
    """Return the rules that suppress records, if every non-empty persistent rule set has at least one."""
    used = [rules for rules in persistent if rules.rules]
    if not all(rules.suppressing for rules in used):
        return []
    return list(dict.fromkeys(text for rules in used for text in rules.suppressing))


def _silencing_reason(silencing: Sequence[str]) -> str:
    return f": silenced by {listed(list(dict.fromkeys(silencing)), 2, glue='; ')}" if silencing else ""


def _may_end(found: auditfiles.AtBoot, unloaded: int, item: audit.Watched, permissions: str) -> Iterator[str]:
    """Describe a line that is not loaded now, if no rule before it records a path."""
    before = auditrules.parse(found.lines[:unloaded])
    if unloaded < len(found.lines) and before.uncovered(item.path, permissions, tree=item.tree):
        yield (
            f"{found.lines[unloaded]!r} in /etc/audit is not loaded: if the kernel refuses it at boot, no"
            " rule after it is loaded: load the rules, or remove the line"
        )


def _ended(in_files: frozenset[str], found: auditfiles.AtBoot) -> str:
    return f": loading ends at {found.ended}" if in_files and found.ended else ""


def _reasons(in_kernel: frozenset[str], in_files: frozenset[str], place: str) -> list[str]:
    if in_kernel and in_kernel == in_files:
        return [f"no rule records {_permission_words(in_kernel)}, in the kernel or in {place}"]
    reasons = []
    if in_kernel:
        reasons.append(f"no loaded rule records {_permission_words(in_kernel)}")
    if in_files:
        reasons.append(f"no persistent rule in {place} records {_permission_words(in_files)}")
    return reasons


def _about(rules: auditrules.Rules, watched: Sequence[audit.Watched]) -> list[str]:
    silencing = [f"loaded: {rule.text}" for rule in rules.rules if not rule.path and not rule.always]
    texts = [f"loaded: {rule.text}" for item in watched for rule in rules.about(item.path)]
    return _first([*silencing, *texts])


def _not_loaded(
    loaded: auditrules.Rules, persistent: Sequence[auditrules.Rules], watched: Sequence[audit.Watched]
) -> list[str]:
    return _first(
        f"in /etc/audit, but not loaded: {rule.text}"
        for rules in persistent
        for item in watched
        for rule in rules.about(item.path)
        if not loaded.has(rule)
    )


def _first(texts: Iterable[str]) -> list[str]:
    shown = list(dict.fromkeys(texts))
    return shown[:_SHOWN] + ([f"and {len(shown) - _SHOWN} more rules"] if len(shown) > _SHOWN else [])


def _names(watched: Sequence[audit.Watched]) -> str:
    return ", ".join(item.path for item in watched)


def _permission_words(permissions: Iterable[str]) -> str:
    return ", ".join(word for permission, word in _WORDS.items() if permission in permissions)


for _subject in audit.SUBJECTS:
    _register(_subject)
