"""Document the action `record`, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: record
short_description: Record the system calls, capabilities and files that containers use, on copies of them
description:
  - The stage C(begin) starts the copies (twins) under the recorder, C(end) ends the recording, C(abandon)
    removes the twins without a recording. If C(begin) returns C(empty), the twins have empty volumes, and
    C(fill), which gives them copies of the used ones, comes before C(end). docs/recordings.md describes what
    is recorded.
  - A recording ends by itself when O(seconds) have passed, or when the process O(owner) ends. The original
    containers are not changed, but for one restart with O(restart). Does nothing in check mode.
author:
  - The authors of hardener (@hardener)
options:
  stage:
    description: The stage of the recording.
    type: str
    required: true
    choices: [begin, fill, end, abandon]
  container:
    description: The container, by its name or id. The stage C(begin) needs it, or O(compose).
    type: str
    default: ""
  compose:
    description: The compose project whose services are recorded. Either its name, C(project), or the absolute
      paths of its compose files, C(files), with C(otherwise), its name if no container names these files. The
      controller adds C(hashes) of the services and C(remarks).
    type: dict
    default: {}
  seconds:
    description: Maximum duration of an exercise, from 1 second to a day.
    type: int
    default: 300
  run_in:
    description: Command in the twin that exercises it.
    type: list
    elements: str
    default: []
  run_in_service:
    description: Service or container in whose twin O(run_in) runs. If empty, O(container).
    type: str
    default: ""
  network:
    description: Networks of the twins. C(own) is isolated, with copies of the project's other services;
      C(same) are the networks of the originals.
    type: str
    choices: [own, same]
    default: own
  restart:
    description: Whether O(container) itself is restarted once and recorded, in place of a copy. Excludes
      O(compose) and O(network=same).
    type: bool
    default: false
  repeats:
    description: Whether the exercise can be run twice, with empty volumes and with copies of the used ones.
    type: bool
    default: false
  install:
    description: Whether bpftool is fetched for this recording if the host has none.
    type: bool
    default: false
  forward:
    description: Whether the stage C(begin) also returns the command by which ssh forwards ports to the twins.
    type: bool
    default: false
  owner:
    description: Process of the host, by C(pid) and C(started); the recording ends when it ends.
    type: dict
    default: {}
  run:
    description: Name of the recording, as returned by C(begin); for the stage C(begin), its new name.
    type: str
    default: ""
  exercise:
    description: Result of the exercise outside of the twin. C(seconds) and C(problem).
    type: dict
    default: {}
  socket:
    description: The engine's API socket. If empty, the host finds it.
    type: str
    default: ""
  starts:
    description: Number of starts of idle containers that measure the runtime's own system calls; 0 for none.
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
  description: Port, or service and port, to the address of the twin.
  type: dict
  returned: by the stage C(begin)
ssh:
  description: The words of an ssh command, with the host as the last one; none if the host is this machine.
  type: list
  elements: str
  returned: by the stage C(begin) with O(forward)
empty:
  description: Whether the volumes of the twins are empty, so that C(fill) is the next stage.
  type: bool
  returned: by the stage C(begin)
problems:
  description:
    - Remains of earlier runs that could not be removed.
    - What of this run could not be removed.
  type: list
  elements: str
  returned: by the stages C(begin), C(fill) and C(end)
recordings:
  description: The data of each container, with the kernel's numbers.
  type: list
  elements: dict
  returned: by the stage C(end)
"""
