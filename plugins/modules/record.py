"""Document the action `record`, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: record
short_description: Record what containers use of the kernel, on twins of them
description:
  - The stage C(begin) starts the twins under the recorder, C(end) ends the recording, C(abandon) removes the
    twins and records nothing more. docs/recordings.md describes what is recorded.
  - A recording that is not ended ends by itself, with its time, or with its owner. The original containers
    are not touched. Does nothing in check mode.
author:
  - The authors of hardener (@hardener)
options:
  stage:
    description: What to do.
    type: str
    required: true
    choices: [begin, end, abandon]
  container:
    description: The container, by its name or id. The stage C(begin) needs it, or O(compose).
    type: str
    default: ""
  compose:
    description: The project all of whose services are recorded, by C(project), its name; or by C(files),
      absolute paths of its compose files, and C(otherwise), its name where no container names these.
      C(hashes) of its services and C(remarks) are what the controller knows of it.
    type: dict
    default: {}
  seconds:
    description: How long the recording may last, from 1 second to a day. The stage C(end) takes the same,
      which is how long the command in the twin may take.
    type: int
    default: 300
  run_in:
    description: A command that exercises the twin from inside.
    type: list
    elements: str
    default: []
  run_in_service:
    description: The service or container in whose twin it runs. Empty for that of the container.
    type: str
    default: ""
  network:
    description: Networks of their own, with copies of the project's other services, or the originals'.
    type: str
    choices: [own, same]
    default: own
  install:
    description: Whether bpftool or bpftrace is fetched for this recording if the host has none.
    type: bool
    default: false
  owner:
    description: A process of the host, C(pid) and C(started), with which the recording ends.
    type: dict
    default: {}
  run:
    description: The recording, as returned by C(begin), or the name that it gets.
    type: str
    default: ""
  exercise:
    description: How the twin was exercised from outside, C(seconds) and C(problem).
    type: dict
    default: {}
  socket:
    description: The engine's API socket. Empty determines it on the host.
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
  description: Port, or service and port, to the address at which the twin answers.
  type: dict
  returned: by the stage C(begin)
problems:
  description: Remains of earlier runs, and the recorder where it is not the usual one.
  type: list
  elements: str
  returned: by the stage C(begin)
recordings:
  description: What was recorded of each container, in numbers.
  type: list
  elements: dict
  returned: by the stage C(end)
"""
