"""Documentation of the action `record`, which runs on the control node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: record
short_description: Record what a container uses of the kernel, by a twin of it
description:
  - The stage C(begin) starts the twin under the recorder, C(end) ends the recording, C(abandon) removes the
    twin and records nothing more. docs/recordings.md describes what is recorded.
  - A recording that is not ended ends by itself, with its time. The original container is not touched. Does
    nothing in check mode.
author:
  - The authors of hardener (@hardener)
options:
  stage:
    description: What to do.
    type: str
    required: true
    choices: [begin, end, abandon]
  container:
    description: The container, by its name or id. The stage C(begin) needs it.
    type: str
    default: ""
  seconds:
    description: How long the recording may last, from 1 second to a day.
    type: int
    default: 300
  run_in:
    description: A command that exercises the twin from inside.
    type: list
    elements: str
    default: []
  run:
    description: The recording, as C(begin) named it.
    type: str
    default: ""
  exercise:
    description: How the twin was exercised from outside, C(seconds) and C(problem).
    type: dict
    default: {}
  socket:
    description: The engine's API socket. Empty finds it out.
    type: str
    default: ""
  starts:
    description: How many starts of the twin are recorded.
    type: int
    default: 3
"""

EXAMPLES = r"""
- name: Start the twin of web under the recorder
  hardener.docker.record:
    stage: begin
    container: web
  register: begun

- name: End the recording
  hardener.docker.record:
    stage: end
    run: "{{ begun.run }}"
    exercise: {seconds: 12.5, problem: ""}
  register: recorded
"""

RETURN = r"""
run:
  description: The recording.
  type: str
  returned: by the stage C(begin)
addresses:
  description: Published port to the address where the twin answers.
  type: dict
  returned: by the stage C(begin)
problems:
  description: What could not be made as it is with the original container.
  type: list
  elements: str
  returned: by the stage C(begin)
recording:
  description: What was recorded, in numbers.
  type: dict
  returned: by the stage C(end)
"""
