"""Name the stages of a migration.

    staging     a second engine imports the images into the new root, without interruption
    stopped     containers are stopped, their volumes copied
    switching   the engine restarts, on the new root
    making      networks and containers are created again
    starting    containers that ran are started
    done

The name of each is stored before it begins, so that the undo knows how far the migration got.
"""

from __future__ import annotations

STAGING, STOPPED, SWITCHING, MAKING, STARTING, DONE = (
    "staging",
    "stopped",
    "switching",
    "making",
    "starting",
    "done",
)
IN_NEW_ROOT = (SWITCHING, MAKING, STARTING, DONE)
