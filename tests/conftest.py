"""What holds for every test, wherever it is started."""

from __future__ import annotations

import signal

# A job in the background of a shell starts with SIGINT ignored, and so would all that the tests start: those
# that interrupt a process would prove nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
