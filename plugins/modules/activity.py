"""Document the action `activity`, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: activity
short_description: Collect denials and the engine's events on a host for some time
description:
  - Nothing is written on the host, in check mode or out of it. The process on the host ends when its time
    is over, or some seconds after the connection ends.
author:
  - The authors of hardener (@hardener)
options:
  seconds:
    description: Duration of the collection, from 1 second to a day.
    type: int
    required: true
  socket:
    description: The engine's API socket.
    type: str
    default: /run/docker.sock
"""

EXAMPLES = r"""
- name: Collect denials for ten minutes
  hardener.docker.activity:
    seconds: 600
  register: heard
"""

RETURN = r"""
entries:
  description: Denials and engine events, counted by container and kind.
  type: list
  elements: dict
  returned: always
lost:
  description: How many records were lost, and where.
  type: raw
  returned: always
deaf:
  description: Sources that could not be read, and why.
  type: raw
  returned: always
blind:
  description: Actions of containers that leave no record on this host.
  type: raw
  returned: always
record:
  description: The record of the resident collector, if there is one.
  type: raw
  returned: always
"""
