"""Document the action `verify_images`, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_images
short_description: Verify the images of a host against a policy
description:
  - Changes only the record on the host that the next audit judges. Verifies nothing in check mode.
author:
  - The authors of hardener (@hardener)
options:
  policy:
    description: Which keys may sign images of which registries (docs/trust.md), with the public keys.
    type: dict
    required: true
  socket:
    description: The engine's API socket, if it is not the default one.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Verify the images
  hardener.docker.verify_images:
    policy:
      registries:
        - prefix: registry.example.com
          keys: ["{{ lookup('ansible.builtin.file', 'cosign.pub') }}"]
  register: verified
"""

RETURN = r"""
verified_at:
  description: Time of the verification.
  type: str
  returned: where images were verified
images:
  description: Each image with its C(id), C(names), C(status), C(detail), C(rule) and C(containers).
  type: list
  elements: dict
  returned: where images were verified
"""
