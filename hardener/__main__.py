"""The ``hardener`` command, and ``python -m hardener``."""

from __future__ import annotations

import gc
import signal


def main() -> None:
    """Run the command line; Ctrl-C while it is still loading just ends it, without a traceback."""
    present = signal.getsignal(signal.SIGINT)
    if present is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from hardener import umask  # noqa: PLC0415
    from hardener.cli import main as command_line  # noqa: PLC0415

    umask.restrict()

    signal.signal(signal.SIGINT, present)
    try:
        command_line()
    finally:
        gc.freeze()  # to look through everything for cycles once more, on the way out, takes a while


if __name__ == "__main__":
    main()
