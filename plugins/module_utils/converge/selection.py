"""Choose the documents to apply: those whose impact on this host is allowed.

A document states the worst impact that it can have. The real impact is known once the activations are
prepared: a restart of the engine may stop containers. Documents that exceed the allowed impact are held,
documents that this host cannot have are refused (an engine that does not know a key, a log target that does
not answer), and the others are applied.
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
from .planning import NO_KEYS, Keys, Plan, Reader, digest
from .serving import Finder


class Case(NamedTuple):
    """The impact of a document, the reason why it is not applied, and its paths that need a change."""

    impact: str
    reason: str = ""
    paths: Sequence[str] = ()


class Selection(NamedTuple):
    """The chosen documents on this host, and the omitted ones with reasons."""

    documents: Sequence[Document]  # documents that are applied
    held: Mapping[str, Case]
    refused: Mapping[str, str]  # documents that this host cannot have, and why
    plan: Plan
    activations: Sequence[Activation]

    @property
    def due(self) -> list[Activation]:
        """Return the activations that have to be performed."""
        return [activation for activation in self.activations if activation.due]

    @property
    def impact(self) -> str:
        """Return the worst impact of the chosen documents on this host."""
        costs = [document.impact for document in self.changing] + [each.impact for each in self.due]
        return max(costs, key=IMPACTS.index, default=NONE)

    @property
    def stops(self) -> bool:
        """Return whether the impact is containers-stop or greater."""
        return not exceeds(CONTAINERS_STOP, self.impact)

    @property
    def notes(self) -> list[str]:
        """Return the documents' notes for the reader of the result."""
        return [f"{document.name}: {note}" for document in self.documents for note in document.notes]

    @property
    def pending(self) -> list[str]:
        """Return changes that will take effect later, outside of this run."""
        return [note for activation in self.activations for note in activation.pending]

    @property
    def changing(self) -> list[Document]:
        """Return the chosen documents that the host does not have yet.

        Those whose paths change; and if an activation is due that none of these waits for (the kernel has
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

    def paths(self, document: Document) -> list[str]:
        """Return the paths of a document that differ from what it wants, or have lost their effect."""
        lost = {path for activation in self.due for path in activation.without_effect}
        own = [resource.path for resource in document.resources if resource.path in lost]
        return [*self.plan.differing.get(document.name, ()), *own]

    def describe(self, request: Request) -> list[dict[str, Any]]:
        """Return state, cost and reason of every document as JSON data."""
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
                state, paths = CHANGE, self.paths(document)
                impact, reason = self._cost(document), document.costs
            elif not document.resources:
                continue
            described.append(
                {
                    "name": document.name,
                    "state": state,
                    "impact": impact,
                    "reason": reason,
                    "paths": list(paths),
                    **(
                        {
                            "wish": document.wish["state"],
                            "variables": sorted(document.wish["variables"]),
                            "removed": document.wish["removed"],
                        }
                        if document.wish
                        else {}
                    ),
                }
            )
        return described

    def _cost(self, document: Document) -> str:
        """Return the impact of a document on this host: a restart may turn out to stop containers."""
        costs = [document.impact]
        if not exceeds(DAEMON_RESTART, document.impact):
            wanted = dict(document.activations)
            costs += [activation.impact for activation in self.due if activation.name in wanted]
        return max(costs, key=IMPACTS.index)

    def digest(self) -> str:
        """Return the SHA-256 of the plan: desired state, present state, and the due activations."""
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


def choose(request: Request, *, bookkeeping_file: str, read: Reader, known: Keys = NO_KEYS) -> Selection:
    """Choose documents, plan their changes and prepare their activations; changes nothing.

    Raises:
        Refused: the documents contradict each other, or the host does not allow what they want.
        Failed: an activation cannot be prepared, for example since apt does not run.
    """
    refused = {document.name: document.refused for document in request.documents if document.refused}
    finder = Finder(request.socket)

    def choice(documents: Sequence[Document], held: Mapping[str, Case]) -> Selection:
        plan = Plan(documents, bookkeeping_file=bookkeeping_file, read=read, found=known)
        joined = settings(documents, tuple(activations.KINDS))
        chosen = [
            activations.KINDS[name](own, check=request.check, finder=finder) for name, own in joined.items()
        ]
        for activation in chosen:
            activation.prepare(plan)
        return Selection(documents, held, refused, plan, chosen)

    serving = [document for document in request.possible if not document.resources]
    held: dict[str, Case] = {}
    for document in request.possible:
        if exceeds(document.impact, request.allow):
            try:
                alone = choice([*serving, document], {})
                paths = alone.paths(document)
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
                raise  # the reason is not in a single document: the host or the combination is impossible
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
            held[document.name] = Case(dear.impact, why, found.paths(document))
        documents = [document for document in documents if document not in out]


def _impossible(
    documents: Sequence[Document],
    serving: Sequence[Document],
    choice: Callable[[Sequence[Document], Mapping[str, Case]], Selection],
) -> dict[str, str]:
    """Return the documents that this host refuses even when applied alone, with reasons."""
    found: dict[str, str] = {}
    for document in documents:
        if document not in serving:
            try:
                choice([*serving, document], {})
            except Refused as reason:
                found[document.name] = str(reason)
    return found


def _waiting(choice: Selection, activation: Activation) -> list[Document]:
    """Return the changing documents that need an activation; if some of them need a restart, only those."""
    waiting = [document for document in choice.changing if activation.name in dict(document.activations)]
    return [document for document in waiting if not exceeds(DAEMON_RESTART, document.impact)] or waiting


def _held(costs: str, impact: str) -> str:
    allow = f"allow {impact} to apply it"
    return f"{costs}; {allow}" if costs else allow


def _plain(resource: Resource) -> list[Any]:
    if resource.kind == FORMER:
        state = resource.state
        return [resource.kind, resource.path, *state[:1], *state[2:5], state.acl.hex(), digest(state.content)]
    return [resource.kind, resource.path, dict(resource.fields)]
