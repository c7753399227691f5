"""Document the action `collect`, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: collect
short_description: Collect the facts of a host in one round trip
description:
  - Collects the facts that the audit and the roles need, with one script over one connection.
    Secrets are removed on the host.
  - Changes nothing on the host, in check mode or out of it; on the control node it writes the file that
    O(dest) asks for.
  - A snapshot can have several megabytes, so it goes to the file and not into the result.
author:
  - The authors of hardener (@hardener)
options:
  dest:
    description: Folder on the control node for the snapshots, one file per host. If empty, none is written.
      By default it is the variable C(collect_dest).
    type: str
    default: ""
  facts:
    description: Sources of the snapshot that the play uses. The roles of this collection read them from the
      variable C(collect_result), which the role C(collect) registers.
    type: list
    elements: str
    default: []
  policy:
    description: Declarations of the site about this host. They become part of the snapshot. By default
      it is the variable C(hardener_policy).
    type: dict
    default: {}
  socket:
    description: The engine's API socket on the host. If empty, the collector finds it. By default
      it is the variable C(collect_socket).
    type: str
    default: ""
  wishes:
    description: Return the roles of which the inventory sets variables for the host. By default it is the
      variable C(collect_wishes).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Collect the facts of the host
  hardener.docker.collect:
    dest: snapshots
    facts: [engine, units]
  register: collected

- name: Say where the snapshot is
  ansible.builtin.debug:
    var: collected.snapshot
"""

RETURN = r"""
snapshot:
  description: The file of the snapshot on the control node.
  type: str
  returned: with O(dest)
wishes:
  description: The roles of which the inventory sets variables.
  type: list
  elements: str
  returned: with O(wishes)
facts:
  description: The snapshot with the sources that O(facts) names.
  type: dict
  returned: with O(facts)
"""
