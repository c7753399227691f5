"""Kernels that are installed."""

from __future__ import annotations

import os

from .debversion import sort_key


def newest_kernel(folder: str, running: str) -> str | None:
    """Release of the newest installed kernel of the running one's flavour; None where none is installed."""
    try:
        names = os.listdir(folder)
    except OSError:
        return None
    releases = [name[len("vmlinuz-") :] for name in names if name.startswith("vmlinuz-")]
    same = [release for release in releases if _flavour(release) == _flavour(running)]
    return max(same, key=sort_key, default=None)


def _flavour(release: str) -> str:
    """What follows the version: ``cloud-amd64``; the RedHat family's rescue images have other flavours."""
    return "-".join(part for part in release.split("-") if not part[:1].isdigit())
