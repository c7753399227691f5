"""What moved between two assessments of a host, and which facts did. Pure: no clock, no host, no history."""

from hardener.drift.facts import MovedFact, moved_facts
from hardener.drift.hosts import Alike, Drift
from hardener.drift.moves import Kind, Move, moves

__all__ = ["Alike", "Drift", "Kind", "Move", "MovedFact", "moved_facts", "moves"]
