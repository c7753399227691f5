"""Which packages of this host and of its images have a security update: compared with the signed index.

Runs on the host: standard library of Python 3.8 only.
The verb brings it along and calls ``main:scan``; the timer starts ``host_scan.py``, which lies beside it.

What it cannot know is ``unknown`` and says why; nothing here is clean because it could not be looked at.
"""

VERSION = "2"
