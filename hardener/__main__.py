"""Entry point of the ``hardener`` command and of ``python -m hardener``."""

from __future__ import annotations

import gc
import signal


def main() -> None:
    """Run the command line; Ctrl-C during the imports ends the process without a traceback."""
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
        gc.freeze()  # no garbage collection at exit: it is slow and useless


if __name__ == "__main__":
    main()
