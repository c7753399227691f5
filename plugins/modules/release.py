"""Document the action `release`, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Restore a host to its state before hardener, and remove hardener from it
description:
  - Files, keys, kernel settings, units, the packet filter and the engine are restored to their state before
    the first run of M(hardener.docker.converge) that changed them; backups and records are removed once the
    release is confirmed.
  - It is one transaction, guarded like every change. A new connection confirms it within
    C(converge_confirm_timeout) seconds, or the host rolls it back by itself.
  - Later changes of others stay and are named; the task then fails, although everything else is
    released.
  - Check mode changes nothing and predicts exactly. A host without anything of hardener is unchanged.
author:
  - The authors of hardener (@hardener)
options:
  role:
    description: A role, to release only what its documents own. If empty, everything is released.
    type: str
    default: ""
  even_unsafe:
    description:
      - Give back owners and modes by which others than root could write before M(hardener.docker.converge).
        Without it they stay as they are, and C(left) names them.
    type: bool
    default: false
  allow:
    description:
      - The worst allowed impact of the release, such as C(reload), C(daemon-restart) or C(connectivity).
      - A release with a greater impact is refused.
    type: str
    default: daemon-restart
  socket:
    description: The engine's API socket, as in C(collect_socket). If empty, the host finds it.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Release the host
  hardener.docker.release:

- name: Release the documents of a role
  hardener.docker.release:
    role: firewall
"""

RETURN = r"""
outcome:
  description:
    - C(unchanged), C(would_change), C(changed), C(refused), or C(not_begun) outside the maintenance
      windows; or, for a run whose changes were not kept, an outcome of M(hardener.docker.converge).
  type: str
  returned: always
reason:
  description: Why it was refused or rolled back.
  type: str
  returned: where there is a reason
kept:
  description: Later changes of others, which stay.
  type: list
  elements: str
  returned: where the host was looked at
left:
  description: Changes that no run can undo, such as packages, and what to do about them.
  type: list
  elements: str
  returned: where the host was looked at
changes:
  description: Changes, made or predicted, by path.
  type: list
  elements: dict
  returned: where the host was looked at
activations:
  description: Activations, performed or predicted.
  type: list
  elements: dict
  returned: where the host was looked at
notes:
  description: Notes for the reader.
  type: list
  elements: str
  returned: where there is any
pending:
  description: Changes that take effect later, and when.
  type: list
  elements: str
  returned: where there is any
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
