"""Describe a run of the history."""

from __future__ import annotations

from collections.abc import Iterator

from hardener.history import LatestState, SelectedResults, StoredRun
from hardener.text import first, line, utc

_PARTS = 10


def run_lines(run: StoredRun) -> Iterator[str]:
    """Describe a run, apart from its hosts, line by line."""
    record, info = run.record, run.info
    if isinstance(run, LatestState) and len(run.parts) > 1:
        yield f"state      the newest results of {len(run.parts)} runs"
        yield from first([_part(run, each) for each in run.parts], _PARTS)
    else:
        yield f"run        {line(run.id)}"
        yield f"command    {line(record.verb)}, exit code {record.exit_code}"
        yield f"time       {utc(info.started)} to {utc(info.ended)}"
    if record.not_begun:
        what = "host" if record.not_begun == 1 else "hosts"
        yield f"not begun  {record.not_begun:,} {what}: left as they were"
    limited = f", limited to {line(record.limit)}" if record.limit else ""
    if record.change_failed:
        yield f"failed     {record.change_failed:,} {'change' if record.change_failed == 1 else 'changes'}"
    yield f"inventory  {line(record.inventory, 1000)}{limited}"
    chosen = f"{info.benchmark} up to level {record.level}"
    yield f"controls   {line(', only '.join((chosen, *record.only)))}"
    yield f"hardener   {info.tool_version} with ansible-core {info.ansible_version}"
    yield f"catalogue  {info.catalogue_digest}"


def _part(state: LatestState, run: StoredRun) -> str:
    hosts = state.hosts_of(run)
    only = f", only {line(', '.join(run.record.only))}" if run.record.only else ""
    return (
        f"run        {line(run.id)}, {line(run.record.verb)} of {utc(run.info.ended)}:"
        f" {hosts:,} {'host' if hosts == 1 else 'hosts'}{only}"
    )


def selection_lines(results: SelectedResults) -> Iterator[str]:
    """Describe the chosen part of a run, once its results are read; return nothing without a filter."""
    if not results.filter:
        return
    yield f"filter     {results.filter}"
    yield (
        f"chosen     {results.chosen_results:,} of {results.results:,} results,"
        f" {results.chosen_hosts:,} of {results.hosts:,} {'host' if results.hosts == 1 else 'hosts'}"
    )
    if hosts := results.without_groups:
        yield f"left out   {hosts:,} {'hosts' if hosts > 1 else 'host'} whose groups the run did not store"
