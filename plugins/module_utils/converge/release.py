"""Release a host: restore every path and setting to the state before hardener's first run.

Backups and bookkeeping are turned into documents of an ordinary transaction: with the same guard, health
check and rollback until it is confirmed. What was changed outside hardener stays and is named (``kept``), and
so is what no run can undo, with advice (``left``). Hardener's own files are removed last, once the release is
confirmed: see ``departure``.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ..contract import IMPACTS, RELOAD, UNCHANGED, exceeds
from . import activations, chains, departure, files, giving_back, origin, roleparts, system
from .activations.firewall import TOOLS
from .activations.interface import Activation, Begun
from .backup import Store
from .documents import FORMER, Document, Request, Resource
from .errors import Refused
from .fencing import Number
from .files import NOTHING, State
from .giving_back import Paths
from .journal import Journal
from .origin import Past
from .planning import Change, Plan, overlay
from .pruning import DEFAULTS, Limits
from .selection import Selection
from .serving import Finder
from .transaction import Terms, Transaction

_NAME = "release"


class Release(Transaction):
    """The release of a host, or of one role's documents.

    Args:
        store: hardener's folder on this host.
        role: its name; empty for everything.
        even_unsafe: give back owners and modes by which others than root can write, too.
        check: only report what would be done.
        allow: the worst allowed impact.
        terms: how it is confirmed; None without a confirmation.
        number: of the run that asks; None without one.
        socket: the engine's API socket, if the site names one.
        limits: of the backups that this host keeps.

    Raises:
        Refused: there can be no such role.
    """

    def __init__(
        self,
        store: Store,
        *,
        role: str,
        even_unsafe: bool = False,
        check: bool,
        allow: str,
        terms: Terms | None = None,
        socket: str = "",
        number: Number | None = None,
        limits: Limits = DEFAULTS,
    ) -> None:
        request = Request((_document((), ()),), check, allow, "", socket)
        super().__init__(request, store, terms, number, limits)
        self._role = roleparts.checked(role)
        self._even_unsafe = even_unsafe
        self._modified: Mapping[str, int] = {}
        self._released: frozenset[str] = frozenset()  # documents
        self._seen: frozenset[str] = frozenset()  # paths

    def run(self) -> dict[str, Any]:
        """Release the host, and return the result as JSON data; do nothing if hardener never changed it."""
        if not self._store.exists and (self._role or not any(departure.strays(()))):
            nothing: dict[str, list[str]] = {"notes": [], "changes": [], "kept": [], "left": []}
            return {"changed": False, "outcome": UNCHANGED, "run": "", **nothing}
        return super().run()

    def _choose(self, states: Mapping[str, State], interrupted: Journal | None) -> Selection:
        runs, damaged = origin.standing(self._store, but=interrupted.run if interrupted else "")
        read = overlay(files.read, states)
        paths = giving_back.paths(
            self._store, runs, self._role, even_unsafe=self._even_unsafe, known=states, read=read
        )
        gone, strangers = ([], []) if self._role else departure.strays(paths.known)
        resources = [
            Resource(_NAME, FORMER, path, {"state": state})
            for path, state in {**paths.wanted, **dict.fromkeys(gone, NOTHING)}.items()
        ]
        plan = Plan((_document(resources, ()),), bookkeeping_file=self._store.bookkeeping, read=read)
        plan.bookkeeping = paths.bookkeeping
        self._found = {
            "released": sorted(paths.documents),
            "kept": [*damaged, *paths.kept],
            "left": [
                *paths.left,
                *(
                    f"{path} looks like a file of hardener, but no backup names it: find out what wrote it"
                    for path in strangers
                ),
            ],
        }
        performed = self._activations(plan, runs)
        self._tell_rest(plan, paths, performed)
        self._modified, self._released, self._seen = paths.modified, paths.documents, paths.known
        self._parting = departure.parting(
            self._store,
            folders=paths.folders,
            paths=[*paths.known, *gone],
            programs=roleparts.written(self._role) if self._role else None,
            outside=roleparts.outside(self._role),
        )
        wanted = tuple((each.name, each.settings) for each in performed)
        document = _document(resources, wanted)
        self._request = self._request._replace(documents=(document,))
        return Selection((document,), {}, {}, plan, performed)

    def _remember(self, choice: Selection) -> None:
        """Forget what the first run found: a later run of the role begins with what the host has then."""
        origin.forget(self._store, self._role, self._seen)
        if not (choice.plan.changes or choice.due or self._parting):  # no worker will do it
            for change in choice.plan.all_changes:
                self._write(change)

    # --- state outside files --------------------------------------------------------------------------------

    def _activations(self, plan: Plan, runs: Sequence[Past]) -> list[Activation]:
        performed = []
        found = origin.found(self._store)
        for name, kind in activations.KINDS.items():
            begun = self._begun(name, runs, origin.of(found, "state", name))
            if not begun:
                continue
            former = kind.former(begun)
            self._found["kept"].extend(former.kept)
            self._found["left"].extend(former.left)
            if former.settings is None:
                continue
            finder = Finder(self._request.socket or kind.socket_of(begun))
            activation = kind(former.settings, check=self._request.check, finder=finder)
            activation.prepare(plan)
            activation.impact = max(activation.impact, RELOAD, key=IMPACTS.index)  # so that it is guarded
            if activation.due and exceeds(activation.impact, self._request.allow):
                costs = f"{activation.costs}; " if activation.costs else ""
                raise Refused(f"{costs}set converge_allow to {activation.impact} to apply it")
            performed.append(activation)
        return performed

    def _begun(self, name: str, runs: Sequence[Past], first: Mapping[str, Any]) -> list[Begun]:
        found = []
        for past in runs:
            memory = past.journal.memory(name)
            if memory is not None:
                as_found = activations.KINDS[name].as_found(memory, first)
                begun = Begun(past.journal.activations.get(name, {}), as_found)
                own = roleparts.begun_of_role(name, begun, self._role)
                found += [own] if own is not None else []
        return found

    def _tell_rest(self, plan: Plan, paths: Paths, performed: Sequence[Activation]) -> None:
        """Report the changes that a release does not undo, although no other program made them."""
        names = [activation.name for activation in performed]
        left = self._found["left"]
        left += [*roleparts.packages(paths.documents), *roleparts.in_kernel(paths.documents)]
        if "docker" not in names and plan.changed(paths.configurations):
            left.append("restart the engine yourself if it runs: its configuration changes")
        if "firewall" not in names and not self._role:
            left += [
                f"{tool} has chains of hardener that no backup names: list them with {tool}-save"
                for tool in TOOLS.values()
                if system.installed(f"{tool}-save") and chains.ours(chains.dump(tool))
            ]

    @property
    def _applied_wishes(self) -> Mapping[str, Mapping[str, Any]]:
        return {name: {"inventory": "", "role": "", "variables": {}} for name in self._released}

    def _write(self, change: Change) -> list[str]:
        left = super()._write(change)
        if change.path in self._modified and not left:
            files.set_modified(change.path, self._modified[change.path])
        return left


def _document(resources: Sequence[Resource], wanted: Sequence[tuple[str, Mapping[str, Any]]]) -> Document:
    return Document(_NAME, RELOAD, "", tuple(resources), tuple(wanted), (), "")
