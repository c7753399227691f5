"""Helpers that several report formats share: texts, identifiers, JSON, data of charts."""
