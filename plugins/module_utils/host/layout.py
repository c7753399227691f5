"""Name hardener's files and folders on a host that more than one program reads or writes."""

from __future__ import annotations

import re

SETTINGS = "/etc/hardener"
PROGRAMS = "/usr/local/lib/hardener"
STATE = "/var/lib/hardener"  # for root only

# The policy of trusted images, and the packet filter's rules.
POLICY = f"{SETTINGS}/trust.json"
FIREWALL = f"{SETTINGS}/firewall"

# The state of the programs that listen, scan and verify images, with a record each.
ACTIVITY, SCAN, TRUST = (f"{STATE}/{name}" for name in ("activity", "scan", "trust"))
RECORD = "record.json"
SCAN_RECORD, TRUST_RECORD = f"{SCAN}/{RECORD}", f"{TRUST}/{RECORD}"

# The state of runs, directly below STATE: see `converge.backup`.
BACKUPS = "backups"  # a folder for each run
JOURNAL = "journal.json"  # also in the backup of a run that is over
NUMBER = "number.json"
WITHDRAWN = "withdrawn.json"
WISHES = "wishes.json"
FOUND = "found.json"  # what the first runs that named something have found
ORIGINS = "origins"  # backups of removed runs that are still needed
OUTCOME = "result.json"  # in a backup
GUARD = "guard.pyz"  # in the backup of an armed run
RUN = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6,32}")  # the name of a run
