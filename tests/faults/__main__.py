"""Run a sweep, ``--sample 8 --seed 42``, or one point, ``--only "apply 82 "``; root."""

import os
import sys

from tests.faults.running import command, environment

os.execvpe("unshare", command(*sys.argv[1:]), environment())
