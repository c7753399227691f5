"""Document the action `host_script`, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_script
short_description: Run a folder of Python sources on a host as one script
description:
  - Delivers over the connection a package that needs only Python's standard library, and calls one function
    of it. Nothing is installed on the host, which needs Python 3.8 or newer.
  - In check mode it runs only with O(read_only).
author:
  - The authors of hardener (@hardener)
options:
  source:
    description: Folder of the package, looked for among the files of the role or play.
    type: str
    required: true
  entry:
    description: Module and function of the package that is called with O(arguments), and returns JSON data.
    type: str
    default: main:main
  arguments:
    description: The arguments of the function.
    type: dict
    default: {}
  read_only:
    description: Whether the function changes nothing on the host.
    type: bool
    default: false
  timeout:
    description: Seconds after which the script is killed on the host; 0 for never.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Count the processes of the host
  hardener.docker.host_script:
    source: process_counter
    arguments: {kernel: false}
    read_only: true
  register: counted
"""

RETURN = r"""
result:
  description: The result of the function.
  type: raw
  returned: where it ran
python:
  description: Version of the Python that ran it.
  type: str
  returned: where it ran
"""
