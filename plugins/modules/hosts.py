"""Document the action `hosts`, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hosts
short_description: List the hosts of a play and their groups
description:
  - Returns all hosts of the play, so that hosts that never answer are known too. It connects to no host.
  - Use it in place of C(ansible.builtin.debug) with C(run_once), after which ansible-core 2.21 shares facts
    between all hosts.
author:
  - The authors of hardener (@hardener)
options: {}
"""

EXAMPLES = r"""
- name: List the hosts of this run
  hardener.docker.hosts:
  run_once: true
"""

RETURN = r"""
hosts:
  description: The sorted groups of each host without C(all), in the order of the inventory.
  type: dict
  returned: always
"""
