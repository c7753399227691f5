"""Order in the demo's shop every second until a signal; then print what the customer has noticed.

Runs on the demo's host, with the standard library alone.
"""

from __future__ import annotations

import http.client
import signal
import sys
import time
import urllib.request

_PAUSE_S = 1.0
_PATIENCE_S = 10.0  # of a customer for one order


def main(address: str) -> None:
    """Order, and print the number of orders, of lost ones, and the longest time without one."""
    ends: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: ends.append(number))
    served = lost = 0
    longest, last = 0.0, time.monotonic()
    while not ends:
        if _order(address):
            served, now = served + 1, time.monotonic()
            longest, last = max(longest, now - last), now
        else:
            lost += 1
        time.sleep(_PAUSE_S)
    longest = max(longest, time.monotonic() - last)
    print(f"{served} orders, {lost} lost, longest time without one: {longest:.1f} s")


def _order(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=_PATIENCE_S) as answer:
            confirmed: bytes = answer.read(100)
    except (OSError, http.client.HTTPException):
        return False
    return confirmed.startswith(b"order ")


if __name__ == "__main__":
    main(sys.argv[1])
