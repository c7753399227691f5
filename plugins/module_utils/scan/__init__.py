"""Compare the packages of this host and of its images with the signed index of security updates.

Runs on the host: standard library of Python 3.8 only. The command ``hardener scan`` delivers it and calls
``main:scan``; the timer starts ``host_scan.py``, which is installed beside it.

What it cannot determine is ``unknown``, with a reason; nothing counts as clean because it could not be read.
"""

VERSION = "2"
