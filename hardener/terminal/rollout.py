"""Show on standard error the batches of a run, and the hosts whose change was never begun."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from hardener.batches import Batch
from hardener.history.journal import Unfinished
from hardener.text import first, line

_HOSTS_NAMED = 5


def host_states(run: Unfinished, states: Mapping[str, str]) -> Iterator[str]:
    """Name every host of an unfinished run, by its state."""
    alike: dict[str, list[str]] = {}
    for host, state in states.items():
        alike.setdefault(str(state), []).append(line(host))
    yield f"resume: run {run.run}"
    for state, names in alike.items():
        yield f"{state}: {', '.join(names)}"


def divided(batches: Sequence[Batch], most_failures: int) -> Iterator[str]:
    """Show the sizes of the batches in their order."""
    parts = []
    if batches and batches[0].is_canary:
        parts.append(f"canaries {', '.join(first([line(host) for host in batches[0].hosts], _HOSTS_NAMED))}")
    sizes = Counter(len(batch.hosts) for batch in batches if not batch.is_canary)
    parts += [f"{count} batch{'' if count == 1 else 'es'} of {size}" for size, count in sizes.items()]
    yield f"batches: {', then '.join(parts) or 'none'}; {most_failures} may fail"


def begins(number: int, batches: int, batch: Batch) -> str:
    """Name the hosts of a batch."""
    what = "canaries" if batch.is_canary else "batch"
    names = ", ".join(first([line(host) for host in batch.hosts], _HOSTS_NAMED))
    return f"{what} ({number} of {batches}): {names}"


def not_begun(hosts: Mapping[str, str]) -> Iterator[str]:
    """Name every host whose change was never begun, hosts with the same reason in one line."""
    alike: dict[str, list[str]] = {}
    for host, reason in hosts.items():
        alike.setdefault(reason, []).append(line(host))
    for reason, names in alike.items():
        yield f"not begun: {', '.join(names)}: {line(reason, 1000)}"
