"""Document the action `render`, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: render
short_description: Render the documents of a role from a snapshot and its variables
description:
  - A task of a role calls it when C(collect_result.facts) is known. It takes the variables of
    the role from its C(meta/argument_specs.yml), templates them, refuses one that is not of its type, and
    hands all of them to the role's renderer.
  - Ansible validates the variables of a role and converts none, so that C(-e name=false) is the string
    C(false), which is true.
  - Reaches no host and changes nothing, in check mode or out of it. The result is censored in logs, since
    what a site has set may be secret.
author:
  - The authors of hardener (@hardener)
options:
  beside:
    description: Further input of the renderer, such as tables of the role or facts of the inventory.
    type: dict
    default: {}
  folders:
    description: Folders of the controller, by absolute paths. The renderer gets their files as C(files), by
      folder and name.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Render the documents
  hardener.docker.render:
  register: docker_files_rendered

- name: Converge them
  hardener.docker.converge:
    documents: "{{ docker_files_rendered.documents }}"
"""

RETURN = r"""
documents:
  description: The documents of the role.
  type: list
  elements: dict
  returned: always
details:
  description: Further data for the tasks of the role; empty for most roles.
  type: dict
  returned: always
"""
