"""Apply one rule to many objects: every container, image, network or service must satisfy it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from hardener.checks.lib.verdicts import count, failed, manual, not_applicable, passed, undecided_by
from hardener.model import Offender, Status, Undecided, Verdict
from hardener.snapshot import FactUnavailable, FactUnusable
from hardener.text import shorten

NAMED = 3  # offenders in the one-line summary; the full list has all of them


class Note(str):
    """A remark on an object that violates nothing: an exception by policy, a declaration without effect."""


class Question(str):
    """A remark on an object that only a person can judge."""


class Subject(Protocol):
    """One object of a host to which a rule can be applied."""

    @property
    def kind(self) -> str:
        """Return ``container``, ``image``, ``network`` or ``service``."""

    @property
    def name(self) -> str:
        """Return the name of the object for readers."""

    @property
    def basis(self) -> str:
        """Return the basis of the judgement if it is not the running state; else empty."""


AnySubject = TypeVar("AnySubject", bound=Subject)
Judge = Callable[[AnySubject], Iterable[str]]


def judge_all(
    subjects: Sequence[AnySubject],
    judge: Judge[AnySubject],
    *,
    expected: str,
    no_subjects: str,
    question: str = "",
    evidence: Sequence[str] = (),
) -> Verdict:
    """Apply one rule to every subject.

    Args:
        subjects: the objects of the host.
        judge: gives the reasons why a subject breaks the rule, each as the rest of a sentence that begins
            with its name; a ``Note`` or a ``Question`` breaks nothing.
        expected: what must hold, in one line.
        no_subjects: why the control does not apply where there are no subjects.
        question: what a person has to look at when a question is left.
        evidence: facts that are not about one subject.

    Raises:
        FactUnavailable: nothing breaks the rule, but not every subject could be judged.
    """
    if not subjects:
        return not_applicable(no_subjects, evidence=evidence)
    broken: list[Offender] = []
    doubtful: list[Offender] = []
    remarks: list[str] = []
    unknown: list[FactUnavailable] = []
    unread: list[AnySubject] = []
    for subject in subjects:
        reasons: list[str] = []
        questions: list[str] = []
        try:
            for remark in _remarks(subject, judge):
                if isinstance(remark, Note):
                    remarks.append(f"{subject.kind} {subject.name}: {remark}")
                elif isinstance(remark, Question):
                    questions.append(remark)
                else:
                    reasons.append(remark)
        except FactUnavailable as missing:
            unknown.append(missing)
            unread.append(subject)
            remarks.append(f"{subject.kind} {subject.name}: could not be judged: {missing}")
        if reasons:
            broken.append(_offender(subject, reasons))
        if questions:
            doubtful.append(_offender(subject, questions))
    missing_facts = _missing(unknown, unread, subjects)
    if missing_facts and not broken:
        raise missing_facts
    facts = (*evidence, *_bases(subjects), *remarks)
    checked = len(subjects)
    if broken:
        doubts = tuple(f"{each.kind} {each.name}: {each.detail}" for each in doubtful)
        return failed(
            expected,
            _sentence(broken, subjects),
            offenders=broken,
            evidence=(*facts, *doubts),
            checked=checked,
            undecided=_undecided(missing_facts, doubtful, question, subjects),
        )
    if doubtful:
        return manual(
            expected,
            _question(question, doubtful, subjects),
            evidence=facts,
            offenders=doubtful,
            checked=checked,
        )
    return passed(expected, f"{_total(subjects)}, none violates the control", evidence=facts, checked=checked)


def _remarks(subject: AnySubject, judge: Judge[AnySubject]) -> Iterator[str]:
    """Return the remarks on a subject.

    Raises:
        FactUnavailable: it alone could not be read on its host.
    """
    error = getattr(subject, "error", "")
    if error:
        raise FactUnavailable(f"docker.{subject.kind}s", error)
    yield from judge(subject)


def _undecided(
    missing: FactUnavailable | None, doubtful: Sequence[Offender], ask: str, subjects: Sequence[Subject]
) -> Undecided | None:
    """Return the verdict for objects that violate nothing and could not be decided completely."""
    if missing:
        return undecided_by(missing)
    if doubtful:
        return Undecided(Status.MANUAL, _question(ask, doubtful, subjects), tuple(doubtful))
    return None


def _missing(
    unknown: Sequence[FactUnavailable], unread: Sequence[Subject], subjects: Sequence[Subject]
) -> FactUnavailable | None:
    """Return the first error, with the number of subjects that have one."""
    if not unknown:
        return None
    one = unknown[0]
    kind = FactUnusable if isinstance(one, FactUnusable) else FactUnavailable
    return kind(one.source, f"{one.reason} ({_share(unread, subjects)})")


def _question(ask: str, doubtful: Sequence[Offender], subjects: Sequence[Subject]) -> str:
    return f"{ask}: {_share(doubtful, subjects)}"


def _offender(subject: Subject, reasons: Sequence[str]) -> Offender:
    basis = f" ({subject.basis})" if subject.basis else ""
    return Offender(subject.kind, subject.name, "; ".join(reasons) + basis)


def _sentence(offenders: Sequence[Offender], subjects: Sequence[Subject]) -> str:
    """Return a summary such as ``2 of 7 containers: web runs privileged; db runs privileged``."""
    named = [f"{shorten(each.name, 60)} {shorten(each.detail, 120)}" for each in offenders[:NAMED]]
    if len(offenders) > NAMED:
        named.append(f"and {len(offenders) - NAMED} more")
    return f"{_share(offenders, subjects)}: {'; '.join(named)}"


def _share(some: Iterable[Subject | Offender], subjects: Sequence[Subject]) -> str:
    """Return ``1 of 2 containers and 7 of 22 images``: some of the subjects, by kind."""
    found = Counter(each.kind for each in some)
    kinds = Counter(subject.kind for subject in subjects)
    shares = [f"{found[kind]} of {count(number, kind)}" for kind, number in kinds.items() if found[kind]]
    return " and ".join(shares)


def _total(subjects: Sequence[Subject]) -> str:
    """Return the number of subjects by kind as text: ``7 containers and 2 services``."""
    kinds = Counter(subject.kind for subject in subjects)
    return " and ".join(count(number, kind) for kind, number in kinds.items())


def _bases(subjects: Sequence[Subject]) -> tuple[str, ...]:
    bases = dict.fromkeys(subject.basis for subject in subjects if subject.basis)
    return tuple(
        f"{_share([each for each in subjects if each.basis == basis], subjects)}: {basis}" for basis in bases
    )
