"""Count the authorities in the API's CA files, and the public ones among them."""

from __future__ import annotations

import os

from ..host.errors import Failed
from ..host.read import read_text

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from typing import Any

# The system's trusted authorities, and folders of a site's additional ones.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_OWN = ("/usr/local/share/ca-certificates", "/etc/pki/ca-trust/source/anchors", "/etc/pki/trust/anchors")
_MAX_OWN = 256
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def describe(paths: list[str]) -> dict[str, dict[str, Any]]:
    """Return each readable CA file's number of certificates, and of public ones among them."""
    found = {}
    for path in paths:
        try:
            held = _certificates(read_text(path))
        except (OSError, Failed):
            continue
        found[path] = {"certificates": len(held), "public": len(held & _public()) if held else 0}
    return found


def _public() -> set[str]:
    known: set[str] = set()
    for path in _BUNDLES:
        try:
            known |= _certificates(read_text(path))
        except (OSError, Failed):
            continue
    return known - _sites_own()


def _sites_own() -> set[str]:
    known: set[str] = set()
    for folder in _OWN:
        files = [f"{at}/{name}" for at, _folders, names in os.walk(folder) for name in names]
        for path in files[:_MAX_OWN]:
            try:
                known |= _certificates(read_text(path))
            except (OSError, Failed):
                continue
    return known


def _certificates(text: str) -> set[str]:
    """Return the certificates of a PEM file, each as its base64 text without line breaks."""
    blocks = text.split(_BEGIN)[1:]
    return {"".join(block.partition(_END)[0].split()) for block in blocks}
