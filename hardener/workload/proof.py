"""Write ``proof.json``: the verdict on a profile, with all observations.

It is deterministic except for its two times and the numbers of refused calls: the same container under the
same profile gives the same text unless its behaviour differs. ``proof.schema.json`` describes it, and is
generated from these classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import Field

from hardener.workload.container import Container, Host
from hardener.workload.decoding import decode_document
from hardener.workload.observation import Observation, Refusal
from hardener.workload.profile_document import PARTS, PROOF
from hardener.workload.shapes import Digest, Moment, Part
from hardener.workload.trials import CAPABILITY, Kind, Trial
from hardener.workload.verdict import Removal

FORMAT: Literal["hardener.proof/1"] = "hardener.proof/1"
NAME = PROOF
_MOST_VALUES = 1_000_000


class TrialPart(Part):
    """A trial; ``observation`` is null where it was not run."""

    key: str
    kind: Kind
    starts: int = Field(description="number of requested starts")
    observation: Observation | None


class ProofDocument(Part):
    """The whole proof."""

    format: Literal["hardener.proof/1"] = FORMAT
    hardener: str
    name: str
    began: Moment
    ended: Moment
    profile: Digest = Field(description="SHA-256 of profile.json, which has the digests of the other files")
    host: Host
    container: Container
    exercise: Literal["command", "command in the container"]
    verdict: Literal["safe", "not safe", "not exercised"]
    reasons: tuple[str, ...]
    evidence: tuple[Removal, ...]
    refusals: tuple[Refusal, ...] = Field(description="every refused call under the profile")
    missing: tuple[str, ...] = Field(description="what was not part of the proof")
    trials: tuple[TrialPart, ...]

    @property
    def not_needed(self) -> frozenset[str]:
        """Return the capabilities and parts that a profile can leave out: the exercise passes without."""
        found = {each.removed.removeprefix(CAPABILITY) for each in self.evidence if each.needed is False}
        return frozenset(name for name in found if name in PARTS or name.startswith("CAP_"))


def trial_parts(trials: Iterable[Trial], observations: Mapping[str, Observation]) -> tuple[TrialPart, ...]:
    """Return the planned trials with their observations, by the keys of the trials."""
    return tuple(
        TrialPart(key=each.key, kind=each.kind, starts=each.starts, observation=observations.get(each.key))
        for each in trials
    )


def text(document: ProofDocument) -> str:
    """Return the text of the file."""
    return json.dumps(document.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"


def decode(data: bytes, *, name: str) -> ProofDocument:
    """Parse the document of a ``proof.json``.

    Args:
        data: its content.
        name: what it is called in an error.

    Raises:
        HardenerError: the data are not such a document.
    """
    return decode_document(ProofDocument, data, name=name, what="proof", most_values=_MOST_VALUES)


def schema() -> dict[str, Any]:
    """Return the JSON Schema of the file, which ``proof.schema.json`` contains."""
    found = ProofDocument.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}
