"""Record, profile, prove and attack the workloads of bench/workloads; print the tables of docs/workloads.md.

    python -m bench.workload [NAME...] [--starts N] [--guest RELEASE] [--json FILE] [--keep FOLDER]
    python -m bench.workload --overhead

Starts a private dockerd in a network of its own. Nothing is pulled: the images are made of Debian's packages
(mmdebstrap), and of two programs from source (a C compiler and Go). Needs root, bpftool, curl, busybox, dig,
ssh and the clients of PostgreSQL, Redis, MariaDB, Mosquitto and LDAP; with --overhead ab and strace.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.workloads import catalogue, guest, images, operations, others, running, strangers
from bench.workloads.overhead import inserts, overhead
from bench.workloads.running import ATTACKS, Proven
from hardener.workload.proof import ProofDocument
from hardener.workload.starts import STARTS
from tests.integration.dockerd import Engine, EngineError, engine_inside
from tests.integration.namespaces import OwnNetwork
from tests.leftovers import scratch

_HEADINGS = (
    *("workload", "calls", "capabilities", "settings", "starts", "verdict"),
    *("attacks: default", "ours", "refused", "seconds"),
)
_OPERATIONS = ("container", "operations that work under the defaults", "under the profile", "no longer")

_NETWORK = "measured"


def main() -> int:
    """Run the benchmark; return 1 if a workload is not proven safe, or an attack became possible."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of workloads; all without one")
    parser.add_argument("--starts", type=int, default=STARTS, metavar="N", help="under each; 0: no proof")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep recordings, profiles and proofs")
    parser.add_argument("--overhead", action="store_true", help="what recording costs nginx, and no more")
    parser.add_argument("--guest", metavar="RELEASE", help="in a new guest of the lab, which has AppArmor")
    chosen = parser.parse_args()
    if chosen.overhead:
        return measure()
    known = (*catalogue.ALL, *others.ALL, *strangers.ALL)
    workloads = [each for each in known if not chosen.names or each.name in chosen.names]
    found: list[Proven] = []
    failed = 0
    built = images.programs()
    with (
        guest.engine(chosen.guest)
        if chosen.guest
        else private_engine({each.base for each in workloads}) as engine,
        scratch("workloads") as own,
    ):
        for workload in workloads:
            folder = (chosen.keep or own).absolute() / workload.name
            folder.mkdir(parents=True)
            began = time.monotonic()
            try:
                with running.container(engine, workload, built) as names:
                    found += running.prove(
                        engine, workload, names, folder, starts=chosen.starts, operate=not chosen.guest
                    )
            except (running.CommandError, EngineError, OSError, subprocess.SubprocessError) as error:
                failed += 1
                print(f"{workload.name}: {error}", file=sys.stderr)
            print(f"{workload.name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    print(operations_table(found), table(found), sep="\n\n", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps([figures(each) for each in found], indent=1) + "\n")
    unsafe = any(each.proof is not None and each.proof.verdict != "safe" for each in found)
    return int(bool(failed) or unsafe or any(each.after - each.before for each in found))


@contextmanager
def private_engine(bases: Iterable[str] = ("base",)) -> Iterator[Engine]:
    """Run everything in a network of its own, with an engine that has the bases of the workloads' images."""
    with OwnNetwork() as network, engine_inside(network) as engine:
        with network.outside():  # its packages come from Debian
            images.prepare(engine, bases)
        with network.inside():
            yield engine


def measure() -> int:
    """Print how much a recording slows nginx down, and inserts into a MariaDB whose volume it copies.

    nginx is in a network that a user has created, like its twin: there the engine translates the addresses of
    its name service, so that the kernel tracks each connection, which takes longer than recording it.
    """
    with private_engine(("base", "others")) as engine, scratch("workloads") as own:
        engine.api("POST", "/networks/create", {"Name": _NETWORK})
        nginx = replace(catalogue.NGINX, host_config={"NetworkMode": _NETWORK})
        built = images.programs()
        with running.container(engine, nginx, built) as names:
            found = overhead(engine, names[0], own)
        database = next(each for each in others.ALL if each.name == "mariadb")
        with running.container(engine, database, built) as names:
            operations.succeeds(engine, names[0], database.exercise)
            times = inserts(engine, names[0], own)
    usual = statistics.median(found["none"])
    for what, requests in found.items():
        median = statistics.median(requests)
        spread = f"{min(requests):.0f} to {max(requests):.0f}, {len(requests)} runs"
        print(f"{what}: {median:.0f} requests/s ({spread}), {usual / median:.2f} times as long")
    for what, each in times.items():
        print(
            f"{what}: insert {statistics.median(each):.1f} ms (at most {max(each):.0f}, {len(each)} inserts)"
        )
    return 0


def figures(proven: Proven) -> dict[str, object]:
    """Return the results of a workload as data for programs."""
    document, proof = proven.document, proven.proof
    seccomp = document.seccomp
    return {
        "workload": proven.name,
        "calls": [seccomp.default_calls, len(seccomp.calls)] if seccomp else None,
        "capabilities": [len(document.capabilities.had), len(document.capabilities.kept)],
        "kept": list(document.capabilities.kept),
        "user": f"{document.user.uid}:{document.user.gid}" if document.user else None,
        "read_only": document.root.read_only,
        "no_new_privileges": document.privileges.no_new_privileges,
        "apparmor": bool(document.apparmor and document.apparmor.used),
        "starts": list(_starts(proof)) if proof else None,
        "verdict": proof.verdict if proof else None,
        "reasons": list(proof.reasons) if proof else [],
        "refusals": [str(each) for each in proof.refusals] if proof else [],
        "possible": {"default": sorted(proven.before), "ours": sorted(proven.after)},
        "works": {"default": sorted(proven.worked), "ours": sorted(proven.works)},
        "seconds": round(proven.seconds, 1),
    }


def operations_table(found: list[Proven]) -> str:
    """Return the operations that work as a Markdown table."""
    rows = [_OPERATIONS, tuple("---" for _ in _OPERATIONS)]
    for each in found:
        lost = ", ".join(sorted(each.worked - each.works))
        rows.append((each.name, str(len(each.worked)), str(len(each.worked & each.works)), lost))
    return _markdown(rows)


def table(found: list[Proven]) -> str:
    """Return the results as a Markdown table."""
    rows = [_HEADINGS, tuple("---" for _ in _HEADINGS)]
    for each in found:
        document = each.document
        calls = (
            f"{document.seccomp.default_calls} → {len(document.seccomp.calls)}" if document.seccomp else "-"
        )
        settings = [
            *(["read-only"] if document.root.read_only else []),
            *(["no-new-privileges"] if document.privileges.no_new_privileges else []),
            *([f"user {document.user.uid}"] if document.user else []),
            *(["AppArmor"] if document.apparmor and document.apparmor.used else []),
        ]
        rows.append(
            (
                each.name,
                calls,
                f"{len(document.capabilities.had)} → {len(document.capabilities.kept)}",
                ", ".join(settings) or "-",
                "{} of {}".format(*_starts(each.proof)) if each.proof else "-",
                each.proof.verdict if each.proof else "-",
                f"{len(each.before)} of {len(ATTACKS)}",
                str(len(each.after)),
                f"{len(each.before - each.after)}",
                f"{each.seconds:.0f}",
            )
        )
    return _markdown(rows)


def _markdown(rows: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _starts(proof: ProofDocument) -> tuple[int, int]:
    """Return the number of successful starts under the profile, and the number of all starts."""
    trial = next(each for each in proof.trials if each.kind == "profile")
    return trial.observation.starts if trial.observation else 0, trial.starts


if __name__ == "__main__":
    sys.exit(main())
