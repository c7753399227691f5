"""Document the action `window`, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: window
short_description: Require that a maintenance window of the host is open
description:
  - Fails outside the maintenance windows of a host, before a play has changed anything there. The action
    C(converge) looks at C(converge_windows) too, right before its transaction.
  - The clock of the control node decides. A change that has begun inside a window is finished.
  - In check mode it only reports that the host would not be changed now.
author:
  - The authors of hardener (@hardener)
options:
  windows:
    description:
      - The windows, each with the days on which it begins, start and end time, and a time zone. One open
        window is enough. A host without windows may be changed at any time.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Change the host only at night, and on weekends
  hardener.docker.window:
    windows: ["Mon-Fri 22:00-04:00 Europe/Berlin", "Sat,Sun 00:00-24:00 Europe/Berlin"]
"""

RETURN = r"""
outcome:
  description: C(not_begun).
  type: str
  returned: outside the windows
reason:
  description: The windows, and the time in their time zones.
  type: str
  returned: outside the windows
"""
