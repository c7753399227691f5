"""Collect facts of this host for the snapshot, without judging them.

Runs alone on the host, standard library of Python 3.8 only. Imports are few and late: they take as long as
reading the facts. Every source is bounded in time and size and fails separately.
"""

VERSION = "1"
