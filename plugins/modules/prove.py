"""Document the action `prove`, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: prove
short_description: Try profiles of a container on copies of it, one after another
description:
  - The stage C(begin) prepares the trials of a container on copies (twins). The stage C(attempt) ends the
    current trial and begins O(trial); without O(trial) it ends the run. If C(attempt) returns C(empty), the
    twin has empty volumes, and C(fill), which gives it copies of the used ones, comes before the next
    C(attempt). C(abandon) ends the run at once. docs/workloads.md describes what C(hardener workload prove)
    tries.
  - A run ends by itself when O(seconds) have passed, or when the process O(owner) ends. The original
    container is not changed. Does nothing in check mode.
author:
  - The authors of hardener (@hardener)
options:
  stage:
    description: The stage of the proof.
    type: str
    required: true
    choices: [begin, attempt, fill, abandon]
  container:
    description: The container, by its name or id. The stage C(begin) needs it.
    type: str
    default: ""
  seconds:
    description: Maximum duration of all trials, from 1 second to a day; for the stages C(attempt) and
      C(fill), of the command in a twin.
    type: int
    default: 900
  run_in:
    description: Command in a twin that exercises each trial.
    type: list
    elements: str
    default: []
  run_in_service:
    description: Service or container in whose twin O(run_in) runs. If empty, O(container).
    type: str
    default: ""
  install:
    description: Whether bpftool is fetched for this proof if the host has none.
    type: bool
    default: false
  forward:
    description: Whether the stage C(begin) also returns the command by which ssh forwards ports to the twins.
    type: bool
    default: false
  owner:
    description: Process of the host, by C(pid) and C(started); the run ends when it ends.
    type: dict
    default: {}
  run:
    description: The run, as returned by C(begin).
    type: str
    default: ""
  exercise:
    description: Result of the exercise outside of the current twin. C(seconds) and C(problem).
    type: dict
    default: {}
  trial:
    description:
      - The trial to begin. C(kind), C(starts), C(whole) (all phases of a recording), C(empty) (the exercise
        is also run with empty volumes), C(seconds) (for further starts), and C(confinement) with C(host)
        (keys of a HostConfig), C(user) and C(devices); without a
        confinement the twin has that of the original.
    type: dict
    default: {}
  apparmor:
    description: An AppArmor profile that confinements name, with C(name) and C(text).
    type: dict
    default: {}
  socket:
    description: The engine's API socket. If empty, the host finds it.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Prepare the trials of web
  hardener.docker.prove:
    stage: begin
    container: web
  register: begun

- name: Start a twin without capabilities
  hardener.docker.prove:
    stage: attempt
    run: "{{ begun.run }}"
    trial:
      kind: without
      confinement: {host: {CapDrop: [ALL], SecurityOpt: []}, user: "", devices: []}
      starts: 1
      whole: false
      empty: false
      seconds: 300

- name: Get the observations, and end the run
  hardener.docker.prove:
    stage: attempt
    run: "{{ begun.run }}"
    exercise: {seconds: 0.5, problem: ""}
  register: tried
"""

RETURN = r"""
run:
  description: The run.
  type: str
  returned: by the stage C(begin)
addresses:
  description: Published port to the address of every twin.
  type: dict
  returned: by the stage C(begin)
ssh:
  description: The words of an ssh command, with the host as the last one; none if the host is this machine.
  type: list
  elements: str
  returned: by the stage C(begin) with O(forward)
container:
  description: The settings of the container, without values of variables.
  type: dict
  returned: by the stage C(begin)
host:
  description: Kernel, engine and runtime of the trials.
  type: dict
  returned: by the stage C(begin)
missing:
  description: What is not tried, such as services without a twin, with reasons.
  type: list
  elements: str
  returned: by the stage C(begin)
problems:
  description: Remains of earlier runs or of this run that could not be removed.
  type: list
  elements: str
  returned: by the stages C(begin), C(attempt) and C(fill)
observed:
  description: Observations of the ended trial, with the kernel's numbers.
  type: dict
  returned: by the stage C(attempt)
up:
  description: Whether the twin of the new trial has started and can be exercised.
  type: bool
  returned: by the stages C(attempt) and C(fill)
empty:
  description: Whether the volumes of that twin are empty, so that C(fill) is the next stage.
  type: bool
  returned: by the stage C(attempt)
"""
