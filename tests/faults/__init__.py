"""Faults at every call of the transaction that changes something, as SQLite tests itself."""
