"""Document the action `converge`, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: converge
short_description: Make a host what documents say, in one transaction
description:
  - Compares, backs up, writes, activates once, looks at the health of the host, and takes everything back
    if the engine or a container suffers. README.md of the role C(converge) describes documents and the
    transaction.
  - A run that costs the host anything is confirmed over a new connection within C(converge_confirm_timeout)
    seconds. Without that the host takes it back by itself, whatever has become of the connection and of the
    control node.
  - Check mode changes nothing and predicts exactly. With C(--diff), the result has a unified diff a path.
author:
  - The authors of hardener (@hardener)
options:
  documents:
    description: What is to be so; a document is what one variable of a role decides, and bears its name.
    type: list
    elements: dict
    required: true
  allow:
    description:
      - The worst that a change may cost the host, such as C(reload), C(daemon-restart) or C(connectivity).
      - What costs more is held, and listed.
    type: str
    default: daemon-restart
  only:
    description: Names of documents; no others than these, and what serves them. All without it.
    type: list
    elements: str
  plan:
    description: Digest of a plan that was reviewed. What is not exactly this plan is refused.
    type: str
    default: ""
  on_refused:
    description:
      - What becomes of the task where a document that the site has asked for is refused. All the others are
        converged in any case.
      - A document of a role is asked for where the site has named a variable that decides it, in an
        inventory, by C(-e), in C(vars) or C(vars_files) of a play or as a parameter of the role; any other
        document is. A default of a role that the host cannot have is a warning.
    type: str
    default: fail
    choices: [fail, warn]
  socket:
    description: The engine's API socket on the host, where the host is not to find it out.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Converge the documents that the roles of this play have left
  hardener.docker.converge:
    documents: "{{ converge_pending }}"
    allow: connectivity
"""

RETURN = r"""
outcome:
  description:
    - C(unchanged), C(would_change), C(changed) or C(refused); or how a run ended that does not stand.
    - C(rolled_back), C(partly_rolled_back) where later changes of others stay, C(rollback_failed) where the
      host tries again, C(abandoned) where root on the host has ended that, C(interrupted), or
      C(unconfirmed) where the host could not be reached again.
  type: str
  returned: always
reason:
  description: Why it was refused or does not stand.
  type: str
  returned: where there is a reason
run:
  description: Name of the backup on the host.
  type: str
  returned: where something was changed
documents:
  description: What became of each document, with its C(name), C(state), C(impact), C(reason) and C(paths).
  type: list
  elements: dict
  returned: where documents were looked at
changes:
  description: What was changed, or would be, path by path.
  type: list
  elements: dict
  returned: where documents were looked at
activations:
  description: What was activated, or would be.
  type: list
  elements: dict
  returned: where documents were looked at
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
kept:
  description: What others have changed meanwhile, and what stays.
  type: list
  elements: str
  returned: with C(partly_rolled_back)
problems:
  description: What could not be taken back.
  type: list
  elements: str
  returned: with C(rollback_failed) and C(abandoned)
recovered:
  description: A run that was interrupted before, and was taken back first.
  type: str
  returned: where there was one
plan:
  description: Digest of exactly these changes on exactly this host.
  type: str
  returned: where something would be or was changed
diff:
  description: A unified diff a path.
  type: list
  elements: dict
  returned: with C(--diff)
"""
