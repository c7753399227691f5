"""Document the action `prove`, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: prove
short_description: Try profiles of a container on twins of it, one after another
description:
  - The stage C(begin) prepares the trials of a container. The stage C(attempt) ends the trial that is under
    way and begins another one; without one it ends the run. C(abandon) ends it at once.
    docs/workloads.md describes what C(hardener workload prove) tries.
  - A run that is not ended ends by itself, with its time. The original container is not touched. Does nothing
    in check mode.
author:
  - The authors of hardener (@hardener)
options:
  stage:
    description: What to do.
    type: str
    required: true
    choices: [begin, attempt, abandon]
  container:
    description: The container, by its name or id. The stage C(begin) needs it.
    type: str
    default: ""
  seconds:
    description: How long all trials may take, from 1 second to a day. The stage C(attempt) takes the same,
      which is how long the command in a twin may take.
    type: int
    default: 900
  run_in:
    description: A command that exercises each twin from inside.
    type: list
    elements: str
    default: []
  install:
    description: Whether bpftool is fetched for this proof if the host has none.
    type: bool
    default: false
  run:
    description: The run, as returned by C(begin).
    type: str
    default: ""
  exercise:
    description: How the twin under way was exercised from outside, C(seconds) and C(problem).
    type: dict
    default: {}
  trial:
    description:
      - The trial to begin. C(kind), C(starts), C(whole) (all phases of a recording), C(seconds) (for further
        starts), and C(confinement) with C(host) (keys of a HostConfig), C(user) and C(devices); without a
        confinement the twin is as the original.
    type: dict
    default: {}
  apparmor:
    description: An AppArmor profile that confinements name, with C(name) and C(text).
    type: dict
    default: {}
  socket:
    description: The engine's API socket. Empty determines it on the host.
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
      seconds: 300

- name: See how it went, and end the run
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
  description: Published port to the address at which every twin answers.
  type: dict
  returned: by the stage C(begin)
container:
  description: The settings that are tried, without values.
  type: dict
  returned: by the stage C(begin)
host:
  description: Kernel, engine and runtime of the trials.
  type: dict
  returned: by the stage C(begin)
missing:
  description: What is not part of the trials.
  type: list
  elements: str
  returned: by the stage C(begin)
problems:
  description: Remains of earlier runs that could not be removed.
  type: list
  elements: str
  returned: by the stage C(begin)
observed:
  description: Observations of the ended trial, in numbers.
  type: dict
  returned: by the stage C(attempt)
up:
  description: Whether the twin of the new trial serves, and is to be exercised.
  type: bool
  returned: by the stage C(attempt)
"""
