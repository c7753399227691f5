"""Section 1.1: check that the kernel audits access to the engine's files and programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ansible_collections.hardener.docker.plugins.module_utils.subjects import audit
from ansible_collections.hardener.docker.plugins.module_utils.subjects.host import Subject

from hardener.checks import check
from hardener.checks.lib import auditrules, fields
from hardener.checks.lib.settings import Facts
from hardener.checks.lib.verdicts import failed, listed, needs_engine, not_applicable, passed
from hardener.model import Offender, Verdict
from hardener.snapshot import JSONObject, Snapshot

_WORDS = {"w": "write", "a": "attribute change", "x": "execution"}
_SHOWN = 8


def _register(subject: Subject) -> None:
    """Register the check that a subject is audited."""

    @check(f"audit-{subject.name}")
    @needs_engine
    def audited(snapshot: Snapshot) -> Verdict:
        watched = subject.find(Facts(snapshot))
        if not watched:
            return not_applicable(f"not on this host: {subject.words}")
        return _decide(snapshot, watched, subject.demanded)


def _decide(snapshot: Snapshot, watched: Sequence[audit.Watched], permissions: str) -> Verdict:
    wanted = ", ".join(_WORDS[permission] for permission in permissions)
    expected = f"{_names(watched)}: {wanted} recorded by a loaded rule and by a persistent rule"
    native = "b32" if snapshot.fact("system").get("arch") in audit.NARROW_MACHINES else "b64"
    persistent = [
        auditrules.parse(lines, native=native)
        for lines in _rule_sets(snapshot.fact_or("audit.persistent", []))
    ]
    source = snapshot.fact_or("audit.loaded", None)
    if source is None:
        return failed(
            expected,
            "auditd is not installed: nothing is recorded",
            offenders=[Offender("file", item.path, "not audited") for item in watched],
        )
    loaded = auditrules.parse(source.get("rules") or (), native=native)
    status = source.get("status") or {}
    lasting = [rules for rules in persistent if rules.enabled]
    offenders = []
    for item in watched:
        in_kernel = loaded.uncovered(item.path, permissions, tree=item.tree)
        file_rules, in_files = min(
            ((rules, rules.uncovered(item.path, permissions, tree=item.tree)) for rules in lasting),
            key=lambda pair: (len(pair[1]), -len(pair[0].rules)),
            default=(auditrules.Rules(()), frozenset(permissions)),
        )
        silencing = loaded.silencing(item.path, in_kernel, tree=item.tree)
        silencing += file_rules.silencing(item.path, in_files, tree=item.tree)
        offenders += [
            Offender("file", item.path, reason + _silencing_reason(silencing))
            for reason in _reasons(in_kernel, in_files)
        ]
    offenders += [Offender("setting", "auditing", why) for why in _unrecorded(snapshot, source, loaded)]
    offenders += [
        Offender("setting", "auditing", f"a persistent rule suppresses records after a reboot: {text}")
        for text in _suppressed_in_all(lasting)
    ]
    daemon = f"auditd pid {status.get('pid')}"
    evidence = [f"auditing: enabled {status.get('enabled')}, {daemon}, lost {status.get('lost')}"]
    evidence += _about(loaded, watched)
    evidence += _not_loaded(loaded, persistent, watched)
    if not offenders:
        return passed(expected, "recorded now and after a reboot", evidence=evidence, checked=len(watched))
    return failed(
        expected,
        listed([f"{offender.name}: {offender.detail}" for offender in offenders], 2, glue="; "),
        offenders=offenders,
        evidence=evidence,
        checked=len(watched),
    )


def _unrecorded(snapshot: Snapshot, source: JSONObject, loaded: auditrules.Rules) -> Iterator[str]:
    """Describe what can keep audit records out of the log, whatever the path, now or after a reboot."""
    fields.table(source, "daemon", "audit.loaded")  # raises if a host sends something else
    yield from audit.hindrances(Facts(snapshot))
    yield from (f"a loaded rule suppresses records: {text}" for text in loaded.suppressing)


def _suppressed_in_all(persistent: Sequence[auditrules.Rules]) -> list[str]:
    """Return the rules that suppress records, if every non-empty persistent rule set has at least one."""
    used = [rules for rules in persistent if rules.rules]
    if not all(rules.suppressing for rules in used):
        return []
    return list(dict.fromkeys(text for rules in used for text in rules.suppressing))


def _silencing_reason(silencing: Sequence[str]) -> str:
    return f": silenced by {listed(list(dict.fromkeys(silencing)), 2, glue='; ')}" if silencing else ""


def _reasons(in_kernel: frozenset[str], in_files: frozenset[str]) -> list[str]:
    if in_kernel and in_kernel == in_files:
        return [f"no rule records {_permission_words(in_kernel)}, in the kernel or in /etc/audit"]
    reasons = []
    if in_kernel:
        reasons.append(f"no loaded rule records {_permission_words(in_kernel)}")
    if in_files:
        reasons.append(f"no persistent rule in /etc/audit records {_permission_words(in_files)}")
    return reasons


def _rule_sets(files: Iterable[dict[str, object]]) -> list[list[str]]:
    """Return the two persistent sets of rules: audit.rules, and rules.d merged in order of name."""
    single: list[str] = []
    merged: list[str] = []
    for entry in sorted(files, key=lambda entry: str(entry.get("file"))):
        lines = entry.get("lines")
        target = merged if "/rules.d/" in str(entry.get("file")) else single
        target += [str(line) for line in lines] if isinstance(lines, list) else []
    return [single, merged]


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
