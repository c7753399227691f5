"""Verify images: whether the registries have them, and whether trusted keys have signed them.

Runs alone on the host: Python >= 3.8, standard library, and the host's `openssl` for signatures. Delivered
for one run by the action `host_script`, or installed by the role `content_trust` for its timer and
`hardener-pull`.
"""

VERSION = 1  # of the record
