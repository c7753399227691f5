"""What moved between two assessments of a host, and which facts did. Pure: no clock, no host, no history."""

from hardener.drift.containers import Changed, changed
from hardener.drift.facts import MovedFact, moved_facts
from hardener.drift.hosts import Alike, AlikeChanged, Drift
from hardener.drift.moves import Kind, Move, moves

__all__ = [
    "Alike",
    "AlikeChanged",
    "Changed",
    "Drift",
    "Kind",
    "Move",
    "MovedFact",
    "changed",
    "moved_facts",
    "moves",
]
