"""Document the action `release`, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Give a host back, as it was before hardener and with nothing of it left
description:
  - Files, keys, kernel settings, units, the packet filter and the engine are what they were before the first
    run of M(hardener.docker.converge) that touched them; backups and records go once that stays.
  - It is one transaction, guarded as every change is. A new connection confirms it within
    C(converge_confirm_timeout) seconds, or the host takes it back by itself.
  - What others have changed meanwhile stays as it is and is named; the task then fails, though all else is
    released.
  - Check mode changes nothing and predicts exactly. A host that has nothing of hardener is unchanged.
author:
  - The authors of hardener (@hardener)
options:
  role:
    description: A role, to give back only what its documents own. Empty is everything.
    type: str
    default: ""
  allow:
    description:
      - The worst that the release may cost the host, such as C(reload), C(daemon-restart) or C(connectivity).
      - A release that costs more is refused.
    type: str
    default: daemon-restart
"""

EXAMPLES = r"""
- name: Give the host back
  hardener.docker.release:

- name: Give back what the documents of a role own
  hardener.docker.release:
    role: firewall
"""

RETURN = r"""
outcome:
  description:
    - C(unchanged), C(would_change), C(changed) or C(refused); or how a run ended that does not stand, as with
      M(hardener.docker.converge).
  type: str
  returned: always
reason:
  description: Why it was refused or does not stand.
  type: str
  returned: where there is a reason
kept:
  description: What others have changed meanwhile, and what stays.
  type: list
  elements: str
  returned: where the host was looked at
left:
  description: What no run can take back, such as packages, and what to do about it.
  type: list
  elements: str
  returned: where the host was looked at
changes:
  description: What was changed, or would be, path by path.
  type: list
  elements: dict
  returned: where the host was looked at
activations:
  description: What was activated, or would be.
  type: list
  elements: dict
  returned: where the host was looked at
notes:
  description: What a person should know.
  type: list
  elements: str
  returned: where there is any
pending:
  description: What takes effect later, and when.
  type: list
  elements: str
  returned: where there is any
problems:
  description: What could not be taken back.
  type: list
  elements: str
  returned: with C(rollback_failed) and C(abandoned)
diff:
  description: A unified diff a path.
  type: list
  elements: dict
  returned: with C(--diff)
"""
