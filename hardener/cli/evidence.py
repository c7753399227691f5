"""``hardener evidence``: export runs as a signed bundle for an auditor, and verify a bundle."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hardener.cli import completers
from hardener.cli.command_groups import CommandGroup
from hardener.cli.history_options import Runs, runs_options
from hardener.errors import ExitCode
from hardener.text import line

if TYPE_CHECKING:
    from hardener.evidence import RunEvidence
    from hardener.history import StoredRun

_LEDGER = "ledger.ndjson"
_file = click.Path(dir_okay=False, path_type=Path)


@click.group(cls=CommandGroup, short_help="Signed evidence for an auditor.")
def evidence() -> None:
    """Export runs as a bundle that can be verified without trusting its sender, and verify a bundle.

    docs/evidence.md describes what a signature proves, and what it cannot.
    """


@evidence.command(short_help="Export runs as a signed bundle.")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=completers.run)
@click.option("--out", required=True, type=_file, metavar="BUNDLE", help="The bundle, a .tar.gz file.")
@click.option(
    "--sign",
    "key",
    type=_file,
    metavar="KEY",
    help="Sign with this SSH key: a private key, or a public key whose private key is in the agent.",
)
@click.option(
    "--tsa-url",
    default="",
    metavar="URL",
    help="Get a time stamp for the signature from this authority (RFC 3161).",
)
@click.option(
    "--ledger", type=_file, metavar="FILE", help="Ledger of all bundles.  [default: ledger.ndjson in --home]"
)
@click.option(
    "--proof",
    "proofs",
    multiple=True,
    metavar="PROOF",
    help="Add this proof of a container's profile, as listed by `hardener workload proofs`; repeatable.",
)
@runs_options
def export(
    *,
    runs: tuple[str, ...],
    out: Path,
    key: Path | None,
    tsa_url: str,
    ledger: Path | None,
    proofs: tuple[str, ...],
    kept: Runs,
) -> None:
    """Export runs: every report format, the facts behind them, a manifest and its signature.

    RUN is an id that `hardener runs list` lists, or latest: every run with results of the latest state. The
    bundle becomes the next entry of the ledger, and names the entry that it follows. An auditor needs only
    coreutils and OpenSSH to verify it; the README in the bundle shows how.

    \b
    hardener evidence export latest --out q4.tar.gz --sign ~/.ssh/evidence
    """  # noqa: D301 - click reads the \b
    from hardener.evidence import Seal
    from hardener.evidence import export as write
    from hardener.history.proofs import Proofs

    named = [part for name in runs for part in kept.run(name).parts]
    chosen = [_evidence(run) for run in {run.id: run for run in named}.values()]
    proven = {proof.id: proof for proof in map(Proofs(kept.home).proof, proofs)}
    if key is not None:
        click.echo(f"signing with {line(str(key))}", err=True)
    exported = write(
        chosen,
        out=out,
        ledger_file=ledger or kept.home / _LEDGER,
        seal=Seal(key=key, tsa_url=tsa_url),
        proofs={name: proof.files() for name, proof in proven.items()},
    )
    head = exported.entry.link()
    click.echo(f"bundle    {line(str(out))}")
    click.echo(f"sha256    {exported.entry.bundle_sha256}")
    held = f"{len(exported.entry.runs)} runs, {exported.hosts} hosts, {exported.files} files"
    click.echo(f"holds     {held}{f', {len(proven)} proofs' if proven else ''}")
    click.echo(f"signed    {'yes' if key else 'no: its origin cannot be verified'}")
    click.echo(f"ledger    entry {head.seq}, {head.sha256}")


@evidence.command(short_help="Verify a bundle.")
@click.argument("bundle", type=_file)
@click.option(
    "--allowed-signers",
    required=True,
    type=_file,
    metavar="FILE",
    help="Allowed signers, in the format of ssh-keygen; times in it are UTC.",
)
@click.option(
    "--revoked",
    type=_file,
    metavar="FILE",
    help="Revoked keys: public keys, or a revocation list of ssh-keygen -k.",
)
@click.option("--ledger", type=_file, metavar="FILE", help="Ledger that the bundle must be in.")
@click.option(
    "--tsa-certificates",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Certificates of the time-stamping authority that you accept, PEM.",
)
@click.option(
    "--at",
    type=click.DateTime(("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ")),
    metavar="DATE",
    help="When the signer's key must have been valid, UTC.  [default: at the time stamp, else now]",
)
def verify(
    *,
    bundle: Path,
    allowed_signers: Path,
    revoked: Path | None,
    ledger: Path | None,
    tsa_certificates: Path | None,
    at: datetime | None,
) -> ExitCode:
    """Verify that a bundle is complete, signed by an allowed signer, and consistent with its facts.

    Nothing is extracted. The facts in the bundle are judged again with the catalogue of this version, and
    every report is compared with the result. The exit code is 3 if the bundle is refused (one line names the
    file), and 4 if another version of hardener made it, so that a part could not be compared.

    \b
    hardener evidence verify q4.tar.gz --allowed-signers auditors --ledger ledger.ndjson
    """  # noqa: D301 - click reads the \b
    from hardener.evidence import Trust
    from hardener.evidence import verify as check
    from hardener.terminal.evidence import verified_lines
    from hardener.workflows import exit_codes

    trust = Trust(
        allowed_signers=allowed_signers,
        revoked=revoked,
        ledger=ledger,
        tsa_certificates=tsa_certificates,
        at=at and at.replace(tzinfo=UTC),
    )
    verified = check(bundle, trust)
    click.echo(f"bundle    {line(str(bundle))}")
    for text in verified_lines(verified):
        click.echo(text)
    return exit_codes.complete(verified.complete)


def _evidence(run: StoredRun) -> RunEvidence:
    """Convert a stored run to the input of a bundle."""
    from hardener.evidence import RunEvidence, Selection

    record, decisions = run.record, run.info.decisions
    return RunEvidence(
        info=run.info,
        verb=record.verb,
        assessments=run.assessments,
        snapshots=run.snapshots,
        inventory=record.inventory_digest,
        # As they were at the time of the run.
        declared={what: text.encode() for what, text in decisions.texts.items()} if decisions else {},
        selection=Selection(limit=record.limit, level=record.level, only=record.only),
    )
