"""Document the action `converge`, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: converge
short_description: Apply documents to a host in one transaction
description:
  - Compares, backs up and writes files, makes the changes effective once, checks the health of the host, and
    rolls everything back if the engine or a container fails. README.md of the role C(converge) describes
    documents and the transaction.
  - A run with an impact is confirmed over a new connection within C(converge_confirm_timeout) seconds.
    Otherwise the host rolls it back by itself, whatever the state of the connection and of the control node.
  - Check mode changes nothing and predicts exactly. With C(--diff), the result has a unified diff for
    each path.
author:
  - The authors of hardener (@hardener)
options:
  documents:
    description: The wanted state; a document has the name of the role variable that decides it.
    type: list
    elements: dict
    required: true
  allow:
    description:
      - The worst allowed impact of a change, such as C(reload), C(daemon-restart) or C(connectivity).
      - Documents with a greater impact are held, and listed.
    type: str
    default: daemon-restart
  only:
    description: Names of the documents to apply; a document named after the role of one of them is
      applied too. If not set, all are applied.
    type: list
    elements: str
  plan:
    description: Digest of a reviewed plan. Every other plan is refused.
    type: str
    default: ""
  on_refused:
    description:
      - What happens to the task if a document that the site has requested is refused. All other documents
        are applied in any case.
      - A document of a role is requested if the site has set a variable that decides it, in an
        inventory, by C(-e), in C(vars) or C(vars_files) of a play or as a parameter of the role; a
        document without a role always counts as requested. A refused default of a role is a warning.
    type: str
    default: fail
    choices: [fail, warn]
  socket:
    description: The engine's API socket on the host. If empty, the host finds it.
    type: str
    default: ""
  spare:
    description: Paths whose owner and mode stay as they are.
    type: list
    elements: str
    default: []
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
    - C(unchanged), C(would_change), C(changed), C(refused), or C(not_begun) outside the maintenance
      windows; or, for a run whose changes were not kept, one of the following.
    - C(rolled_back), C(partly_rolled_back) if later changes of others stay, C(rollback_failed) if the host
      tries again, C(abandoned) if root on the host has ended that, C(interrupted), or C(unconfirmed) if the
      host could not be reached again.
  type: str
  returned: always
reason:
  description: Why it was refused or rolled back.
  type: str
  returned: where there is a reason
run:
  description: Name of the backup on the host.
  type: str
  returned: where something was changed
documents:
  description: The outcome of each document, with its C(name), C(state), C(impact), C(reason) and C(paths).
  type: list
  elements: dict
  returned: where documents were looked at
changes:
  description: Changes, made or predicted, by path.
  type: list
  elements: dict
  returned: where documents were looked at
activations:
  description: Activations, performed or predicted.
  type: list
  elements: dict
  returned: where documents were looked at
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
missing:
  description: Services that do not work as before although everything is restored.
  type: list
  elements: str
  returned: with C(rolled_back) and C(partly_rolled_back)
recovered:
  description: An earlier interrupted run that was rolled back first.
  type: str
  returned: where there was one
plan:
  description: Digest of exactly these changes on exactly this host.
  type: str
  returned: where something would be or was changed
diff:
  description: One unified diff per path.
  type: list
  elements: dict
  returned: with C(--diff)
"""
