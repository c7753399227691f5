"""Evidence for an auditor: runs as a signed bundle, a ledger of all bundles, and their verification.

    exported = export([RunEvidence(…)], out=Path("q4.tar.gz"), ledger_file=…, seal=Seal(key=…))
    verified = verify(Path("q4.tar.gz"), Trust(allowed_signers=Path("allowed_signers")))

What a bundle holds and what a signature proves: docs/evidence.md.
"""

from hardener.evidence.bundle import Exported, Seal, export
from hardener.evidence.manifest import Selection
from hardener.evidence.refusal import Refused
from hardener.evidence.staging import RunEvidence
from hardener.evidence.verification import Trust, Verified, verify

__all__ = ["Exported", "Refused", "RunEvidence", "Seal", "Selection", "Trust", "Verified", "export", "verify"]
