"""Document the action `rollback`, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollback
short_description: Roll a host back to its state before a run, or list its runs
description:
  - Rolls back the last run of M(hardener.docker.converge), or a run and all later ones, newest first.
  - Files that were changed by others meanwhile stay as they are and are named; the task then fails.
  - Check mode changes nothing and predicts exactly.
author:
  - The authors of hardener (@hardener)
options:
  run:
    description: The run, by the name of its backup. If empty, the last run.
    type: str
    default: ""
  list:
    description: Whether the runs are only listed.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Roll the last run back
  hardener.docker.rollback:

- name: Roll back that run and all later ones
  hardener.docker.rollback:
    run: 20261125T040000Z-1b2c3d4e

- name: List the runs
  hardener.docker.rollback:
    list: true
  register: history
"""

RETURN = r"""
outcome:
  description: C(unchanged), C(would_change), C(changed), C(refused), C(partly_rolled_back),
    C(rollback_failed) or C(abandoned).
  type: str
  returned: always
runs:
  description: Names of the runs that were rolled back; with O(list) every run with its outcome, the newest
    first.
  type: list
  elements: raw
  returned: always
kept:
  description: Later changes of others, which stay.
  type: list
  elements: str
  returned: with C(partly_rolled_back)
problems:
  description: Changes that could not be rolled back.
  type: list
  elements: str
  returned: with C(rollback_failed) and C(abandoned)
diff:
  description: One unified diff per path.
  type: list
  elements: dict
  returned: with C(--diff)
"""
