"""What is true on this host: facts for the snapshot, no opinion.

Runs alone on the host, standard library of Python 3.8 only. Imports stay few and late: they cost as much as
the facts. Every source is bounded in time and size and fails alone.
"""

VERSION = "1"
