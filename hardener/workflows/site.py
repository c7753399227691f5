"""Write the history as a site: new and changed pages; unchanged pages stay as they are."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from hardener.comparison.finding import CHANGES
from hardener.comparison.previous_runs import Since
from hardener.errors import HardenerError
from hardener.history import History, StoredRun
from hardener.history.inventories import inventory_key
from hardener.history.previous import point, preceding
from hardener.history.timeline import Timeline
from hardener.model import Assessment, Status
from hardener.site import control_hosts, front, hosts, rendering
from hardener.site.fleet import Gathered, HostRow, host_row
from hardener.site.folder import SiteFolder, Written
from hardener.site.place import Place, RunRow, file_name, short_names
from hardener.summary import Summary
from hardener.text import scalar

_POINTS = 120  # runs of a trend


def write_site(home: Path, out: Path, *, begun: Callable[[str, int, int], None]) -> Written:
    """Write the pages of a history.

    Args:
        home: the folder of the history.
        out: the folder of the site.
        begun: called before the pages of an inventory are written, with its name and its numbers of hosts and
            runs.

    Raises:
        HardenerError: no run is kept, or the folder holds other files or cannot be written.
    """
    history = History(home)
    inventories: dict[str, list[StoredRun]] = {}  # runs newest first
    for run in history.runs():
        inventories.setdefault(inventory_key(run.record.inventory), []).append(run)
    if not inventories:
        raise HardenerError(
            f"no run is kept in {history.path}", hint="`hardener audit -i INVENTORY` makes one"
        )
    with SiteFolder(out) as folder:
        for file in rendering.assets():
            folder.write(file.path, file.text)
        rows = []
        names = short_names(runs[0].record.inventory for runs in inventories.values())
        for key, runs in inventories.items():
            name = names[runs[0].record.inventory]
            inventory = _Inventory(history, key, name, runs)
            if not inventory.keep(folder):
                begun(name, inventory.last.hosts, len(runs))
                inventory.write(folder)
            rows.append(front.InventoryRow(name, key, inventory.row(inventory.last), inventory.points))
        for file in front.front(rows):
            folder.write(file.path, file.text)
        return folder.finish()


class _Inventory:
    """The pages of an inventory.

    Args:
        history: where its runs are.
        key: the same for all names of the inventory.
        name: as the pages call it.
        runs: all of them, newest first.
    """

    def __init__(self, history: History, key: str, name: str, runs: Sequence[StoredRun]) -> None:
        self._runs = runs
        self._name = name
        self._inventory = key
        state = history.state(recorded := runs[0].record.inventory)
        self.last = state if state and state.is_whole else runs[0]
        kind = self.last.record.kind
        alike = [each for each in runs if each.number <= self.last.number and each.record.kind == kind]
        self._series = alike[:_POINTS][::-1]
        self._timeline = Timeline(history.path, self._series)
        self._ends = [each.info.ended for each in self._series]
        self.points = [point(each) for each in self._series]
        baseline = history.baseline(recorded)
        self._baseline = baseline.id if baseline else ""
        self._folder = Place(self._name, key, self.last.info.ended, frozenset(), frozenset(), False).folder
        self._key = _digest(self._name, self._baseline, *(each.id for each in runs))

    def row(self, run: StoredRun) -> RunRow:
        """Return a run as a row of a list."""
        record = run.record
        return RunRow(
            info=run.info,
            verb=record.verb,
            exit_code=record.exit_code,
            level=record.level,
            limit=record.limit,
            only=record.only,
            hosts=run.hosts,
            unreachable=run.unreachable,
            not_begun=record.not_begun,
            change_failed=record.change_failed,
            counts=run.counts(),
            baseline=run.id == self._baseline,
            runs=len(run.parts),
        )

    def keep(self, folder: SiteFolder) -> bool:
        """Keep all pages if the runs behind them are unchanged; return whether they were kept."""
        pages = folder.keys(f"{self._folder}/")
        if pages.get(f"{self._folder}/index.html") != self._key:
            return False
        ours = {path: key for path, key in pages.items() if key == self._key}
        for run in self._runs:
            ours.update(self._pages_of(folder, run))
        return all(folder.keep(path, key) for path, key in ours.items())

    def write(self, folder: SiteFolder) -> None:
        """Write the pages, the first page last, since it links to the others."""
        gathered = Gathered()
        for assessment in self.last.assessments():
            gathered.add(assessment)
        made = self.last.info.decisions
        place = Place(
            inventory=self._name,
            key=self._inventory,
            ended=self.last.info.ended,
            groups=frozenset(each.name for each in gathered.shown_groups()),
            controls=frozenset(gathered.controls),
            decisions=bool(made and (made.waivers or made.attestations)),
        )
        last_seen = self._timeline.hosts()
        self._write_runs(folder, place, frozenset(last_seen))
        former = list(self._write_hosts(folder, place, gathered, last_seen))
        for file in self._lists(place, gathered, former):
            folder.write(file.path, file.text, self._key)

    def _lists(self, place: Place, gathered: Gathered, former: Sequence[HostRow]) -> Iterator[rendering.File]:
        history = self._timeline.controls()
        nothing: list[Counter[Status]] = [Counter() for _ in self._ends]
        for each in gathered.controls.values():
            counts = history.get(scalar(each.control.slug), nothing)
            yield from control_hosts.control(place, each, counts, self._ends, gathered.summary.benchmark)
        yield control_hosts.controls(place, gathered)
        if place.groups:
            yield from hosts.groups(place, gathered)
        made = self.last.info.decisions
        if made and place.decisions:
            yield from control_hosts.decisions(place, gathered, made)
        yield from hosts.hosts(place, gathered, former)
        yield from front.runs(place, [self.row(each) for each in self._runs])
        since = None
        if earlier := [each for each in self._series if each.id != self.last.id]:
            since = Since(preceding(earlier))
            for assessment in self.last.assessments():
                since.add(assessment)
        yield front.overview(place, self.row(self.last), gathered, since, self.points)

    def _write_hosts(
        self, folder: SiteFolder, place: Place, gathered: Gathered, last_seen: Mapping[str, StoredRun]
    ) -> Iterator[HostRow]:
        """Write the page of each host; yield the hosts that only earlier runs have."""
        rows = iter(gathered.hosts)
        present = set()
        for assessment in self.last.assessments():
            present.add(scalar(assessment.host))
            self._write_host(folder, place, next(rows), assessment, self.last)
        for name in sorted(last_seen.keys() - present):
            if found := _assessment_of(last_seen[name], name):
                row = host_row(found)
                self._write_host(folder, place, row, found, last_seen[name], former=True)
                yield row

    def _write_host(
        self,
        folder: SiteFolder,
        place: Place,
        row: HostRow,
        assessment: Assessment,
        run: StoredRun,
        *,
        former: bool = False,
    ) -> None:
        steps: dict[str, list[tuple[int, Status]]] = {}
        for step in self._timeline.steps(assessment.host):
            steps.setdefault(step.slug, []).append((step.run, step.status))
        moves = [hosts.Move(slug, hosts.spans(each, len(self._series))) for slug, each in steps.items()]
        file = hosts.host(
            place, row, assessment, run=self.row(run), moves=moves, ends=self._ends, former=former
        )
        folder.write(file.path, file.text, self._key)

    def _write_runs(self, folder: SiteFolder, place: Place, linked: frozenset[str]) -> None:
        """Write the pages of each run whose pages are missing or outdated."""
        in_series = {each.number for each in self._series}
        frame = _digest(*sorted(place.controls), *map(str, (bool(place.groups), place.decisions)))
        for place_of, run in enumerate(self._runs):
            kind = run.record.kind
            before = next((each for each in self._runs[place_of + 1 :] if each.record.kind == kind), None)
            links = linked if run.number in in_series else frozenset[str]()
            key = _digest(frame, run.id, before.id if before else "", str(bool(links)))
            pages = self._pages_of(folder, run)
            if pages.get(self._page_of(run)) == key and all(folder.keep(path, key) for path in pages):
                continue
            files = list(self._run(place, run, before, links))
            for file in reversed(files):  # the first page last: it says that the others are there
                folder.write(file.path, file.text, key)

    def _run(
        self,
        place: Place,
        run: StoredRun,
        before: StoredRun | None,
        links: frozenset[str],
    ) -> Iterator[rendering.File]:
        since = Since(preceding([before])) if before else None
        changed: list[front.HostChanges] = []
        summary = Summary()
        for assessment in summary.watch(run.assessments()):
            moved = Counter(each.kind for each in since.add(assessment)) if since else Counter()
            if moved:
                changed.append(front.HostChanges(assessment.host, moved))
        changed.sort(key=lambda each: [-each.kinds.get(kind, 0) for kind in CHANGES])
        yield from front.run(place, self.row(run), summary, since, changed, linked=links)

    def _page_of(self, run: StoredRun) -> str:
        """Return the path of the first page of a run."""
        return f"{self._folder}/runs/{file_name(run.id)}.html"

    def _pages_of(self, folder: SiteFolder, run: StoredRun) -> dict[str, str]:
        """Return the keys of the pages of a run, by path."""
        first = self._page_of(run)
        found = folder.keys(first.removesuffix(".html"))
        return {
            path: key for path, key in found.items() if first in (path, f"{path.rpartition('~')[0]}.html")
        }


def _assessment_of(run: StoredRun, name: str) -> Assessment | None:
    """Return the assessment of a host by its name in the database, where some characters are replaced."""
    odd = (each for each in run.assessments() if scalar(each.host) == name)
    return run.assessment(name) or next(odd, None)


def _digest(*parts: str) -> str:
    """Return a digest of the given parts, and of the code and the templates behind the pages."""
    return hashlib.sha256(json.dumps([rendering.digest(), *parts]).encode()).hexdigest()
