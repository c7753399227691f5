"""Document the action `daemon_certificates`, which runs on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
module: daemon_certificates
short_description: Create the certificates of an engine's API on TCP
description:
  - Makes an authority, the certificate of the host and that of its clients on the control node. Existing
    certificates that fit the host and are valid for another month are kept. README.md of the role
    C(docker_daemon) describes who gets which file.
  - Changes nothing on the host, so it runs in check mode too, and a later run applies exactly what the
    plan shows.
  - The result has the paths of the files, and the content of no key.
author:
  - The authors of hardener (@hardener)
options:
  directory:
    description: Folder of the control node, which only its owner can read. The key of the authority
      never leaves it.
    type: str
    required: true
  host:
    description: The host that the certificate is for.
    type: str
    required: true
  names:
    description: Names and addresses by which clients reach the host.
    type: list
    elements: str
    required: true
  days:
    description: How many days certificates are valid.
    type: int
    default: 397
"""

EXAMPLES = r"""
- name: Make the certificates
  hardener.docker.daemon_certificates:
    directory: ~/.local/share/hardener/tls/web1
    host: web1
    names: [web1.example.org, 192.0.2.10]
"""

RETURN = r"""
ca:
  description: Path of the authority's certificate, for the host.
  type: str
  returned: always
cert:
  description: Path of the host's certificate.
  type: str
  returned: always
key:
  description: Path of the host's key.
  type: str
  returned: always
client:
  description: Folder for users of the engine, in the form of C(DOCKER_CERT_PATH).
  type: str
  returned: always
"""
