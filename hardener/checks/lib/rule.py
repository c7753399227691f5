"""Apply one rule to many objects: every container, image, network or service must satisfy it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from hardener.checks.lib.verdicts import count, failed, manual, not_applicable, passed, undecided_by
from hardener.model import Offender, Status, Undecided, Verdict
from hardener.snapshot import FactUnavailable
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
            remarks.append(f"{subject.kind} {subject.name}: could not be judged: {missing}")
        if reasons:
            broken.append(_offender(subject, reasons))
        if questions:
            doubtful.append(_offender(subject, questions))
    if unknown and not broken:
        raise FactUnavailable(unknown[0].source, _missing(unknown, subjects))
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
            undecided=_undecided(unknown, doubtful, question, subjects),
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
    unknown: Sequence[FactUnavailable], doubtful: Sequence[Offender], ask: str, subjects: Sequence[Subject]
) -> Undecided | None:
    """Return the verdict for objects that violate nothing and could not be decided completely."""
    if unknown:
        return undecided_by(FactUnavailable(unknown[0].source, _missing(unknown, subjects)))
    if doubtful:
        return Undecided(Status.MANUAL, _question(ask, doubtful, subjects), tuple(doubtful))
    return None


def _missing(unknown: Sequence[FactUnavailable], subjects: Sequence[Subject]) -> str:
    return f"{unknown[0].reason} ({len(unknown)} of {_total(subjects)})"


def _question(ask: str, doubtful: Sequence[Offender], subjects: Sequence[Subject]) -> str:
    return f"{ask}: {len(doubtful)} of {_total(subjects)}"


def _offender(subject: Subject, reasons: Sequence[str]) -> Offender:
    basis = f" ({subject.basis})" if subject.basis else ""
    return Offender(subject.kind, subject.name, "; ".join(reasons) + basis)


def _sentence(offenders: Sequence[Offender], subjects: Sequence[Subject]) -> str:
    """Return a summary such as ``2 of 7 containers: web runs privileged; db runs privileged``."""
    named = [f"{shorten(each.name, 60)} {shorten(each.detail, 120)}" for each in offenders[:NAMED]]
    if len(offenders) > NAMED:
        named.append(f"and {len(offenders) - NAMED} more")
    return f"{len(offenders)} of {_total(subjects)}: {'; '.join(named)}"


def _total(subjects: Sequence[Subject]) -> str:
    """Return the number of subjects by kind as text: ``7 containers and 2 services``."""
    kinds = Counter(subject.kind for subject in subjects)
    return " and ".join(count(number, kind) for kind, number in kinds.items())


def _bases(subjects: Sequence[Subject]) -> tuple[str, ...]:
    bases = Counter(subject.basis for subject in subjects if subject.basis)
    return tuple(f"{number} of {_total(subjects)}: {basis}" for basis, number in bases.items())
