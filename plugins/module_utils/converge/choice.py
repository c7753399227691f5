"""Which documents are applied: those that cost no more than is allowed, by what they cost on this very host.

A document says what making it true can cost. What it really costs shows when the activations are prepared: a
restart of the engine may end containers. Then the documents that need it stay out, and the others go on. So
they do without one that this host refuses: an engine that does not know its key, a target that is silent.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Callable, Mapping, NamedTuple, Sequence

from ..contract import (
    CHANGE,
    CONTAINERS_STOP,
    DAEMON_RESTART,
    HELD,
    IMPACTS,
    NONE,
    REFUSED,
    UNCHANGED,
    exceeds,
)
from . import activations
from .activations.interface import Activation
from .documents import FORMER, Document, Request, Resource, settings
from .errors import Refused
from .planning import Plan, Reader, digest
from .serving import Finder


class Case(NamedTuple):
    """What a document costs, that in words or why it is left out, and the paths that are not as it wants."""

    impact: str
    reason: str = ""
    paths: Sequence[str] = ()


class Choice(NamedTuple):
    """What is done on this host, and what is not."""

    documents: Sequence[Document]  # that are applied
    held: Mapping[str, Case]
    refused: Mapping[str, str]  # what cannot be had on this host, and why
    plan: Plan
    activations: Sequence[Activation]

    @property
    def due(self) -> list[Activation]:
        """The activations that have to happen."""
        return [activation for activation in self.activations if activation.due]

    @property
    def impact(self) -> str:
        """The worst that is done costs this host."""
        costs = [document.impact for document in self.changing] + [each.impact for each in self.due]
        return max(costs, key=IMPACTS.index, default=NONE)

    @property
    def stops(self) -> bool:
        """Whether containers are stopped by it."""
        return not exceeds(CONTAINERS_STOP, self.impact)

    @property
    def notes(self) -> list[str]:
        """What the documents want to tell the reader of the result."""
        return [f"{document.name}: {note}" for document in self.documents for note in document.notes]

    @property
    def pending(self) -> list[str]:
        """What will be so later, by somebody else's hand."""
        return [note for activation in self.activations for note in activation.pending]

    @property
    def changing(self) -> list[Document]:
        """The documents that are not so yet.

        Those whose paths change; and where an activation is due that none of these waits for (the kernel has
        lost its audit rules), all that wait for it.
        """
        differing = [document for document in self.documents if document.name in self.plan.differing]
        explained = {name for document in differing for name, _settings in document.activations}
        unexplained = {activation.name for activation in self.due} - explained
        return [
            document
            for document in self.documents
            if document.resources
            and (document in differing or unexplained & dict(document.activations).keys())
        ]

    def describe(self, request: Request) -> list[dict[str, Any]]:
        """What becomes of every document, at what cost, and why, as JSON data."""
        changing = self.changing
        described = []
        for document in request.documents:
            state, impact, reason = UNCHANGED, document.impact, ""
            paths: Sequence[str] = ()
            if document.name in self.refused:
                state, reason = REFUSED, self.refused[document.name]
            elif document.name in self.held:
                state = HELD
                impact, reason, paths = self.held[document.name]
            elif document in changing:
                state, paths = CHANGE, self.plan.differing.get(document.name, ())
                impact = self._cost(document)
            elif not document.resources:
                continue
            described.append(
                {
                    "name": document.name,
                    "state": state,
                    "impact": impact,
                    "reason": reason,
                    "paths": list(paths),
                }
            )
        return described

    def _cost(self, document: Document) -> str:
        """What a document costs here: a restart that it asks for may turn out to end containers."""
        costs = [document.impact]
        if not exceeds(DAEMON_RESTART, document.impact):
            wanted = dict(document.activations)
            costs += [activation.impact for activation in self.due if activation.name in wanted]
        return max(costs, key=IMPACTS.index)

    def digest(self) -> str:
        """Name of this very plan: SHA-256 of what is wanted, what is there now, and what has to happen."""
        facts = {
            "documents": [
                [document.name, [_plain(resource) for resource in document.resources], document.activations]
                for document in self.changing
            ],
            "before": [
                [
                    path,
                    before.kind,
                    before.mode,
                    before.uid,
                    before.gid,
                    before.acl.hex(),
                    digest(before.content),
                ]
                for path, before, *_rest in self.plan.changes
            ],
            "activations": [activation.describe() for activation in self.due],
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def choose(request: Request, *, bookkeeping_file: str, read: Reader) -> Choice:
    """Choose the documents, plan their changes and prepare their activations. Changes nothing.

    Raises:
        Refused: the documents contradict each other, or the host does not allow what they want.
    """
    refused = {document.name: document.refused for document in request.documents if document.refused}
    finder = Finder(request.socket)

    def choice(documents: Sequence[Document], held: Mapping[str, Case]) -> Choice:
        plan = Plan(documents, bookkeeping_file=bookkeeping_file, read=read)
        joined = settings(documents, tuple(activations.KINDS))
        chosen = [
            activations.KINDS[name](own, check=request.check, finder=finder) for name, own in joined.items()
        ]
        for activation in chosen:
            activation.prepare(plan)
        return Choice(documents, held, refused, plan, chosen)

    serving = [document for document in request.possible if not document.resources]
    held: dict[str, Case] = {}
    for document in request.possible:
        if exceeds(document.impact, request.allow):
            try:
                alone = choice([*serving, document], {})
                paths = alone.plan.differing.get(document.name, ())
                if document in alone.changing:
                    held[document.name] = Case(document.impact, _held(document.costs, document.impact), paths)
            except Refused as reason:
                refused[document.name] = str(reason)
    documents = [document for document in request.possible if document.name not in {**held, **refused}]
    while True:
        try:
            found = choice(documents, held)
        except Refused:
            impossible = _impossible(documents, serving, choice)
            if not impossible or len(impossible) == len(documents) - len(serving):
                raise  # it is not for what one of them wants: all of it is impossible here, or together
            refused.update(impossible)
            documents = [document for document in documents if document.name not in impossible]
            continue
        dear = next((each for each in found.due if exceeds(each.impact, request.allow)), None)
        if dear is None:
            return found
        why = _held(dear.costs, dear.impact)
        out = _waiting(found, dear)
        if not out:
            raise Refused(why)
        for document in out:
            held[document.name] = Case(dear.impact, why, found.plan.differing.get(document.name, ()))
        documents = [document for document in documents if document not in out]


def _impossible(
    documents: Sequence[Document],
    serving: Sequence[Document],
    choice: Callable[[Sequence[Document], Mapping[str, Case]], Choice],
) -> dict[str, str]:
    """The documents that this host refuses even alone, and why."""
    found: dict[str, str] = {}
    for document in documents:
        if document not in serving:
            try:
                choice([*serving, document], {})
            except Refused as reason:
                found[document.name] = str(reason)
    return found


def _waiting(choice: Choice, activation: Activation) -> list[Document]:
    """Changing documents that an activation is for: those that want a restart, where it is dear by these."""
    waiting = [document for document in choice.changing if activation.name in dict(document.activations)]
    return [document for document in waiting if not exceeds(DAEMON_RESTART, document.impact)] or waiting


def _held(costs: str, impact: str) -> str:
    allow = f"allow {impact} to have it done"
    return f"{costs}; {allow}" if costs else allow


def _plain(resource: Resource) -> list[Any]:
    if resource.kind == FORMER:
        state = resource.state
        return [resource.kind, resource.path, *state[:1], *state[2:5], state.acl.hex(), digest(state.content)]
    return [resource.kind, resource.path, dict(resource.fields)]
