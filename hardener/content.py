"""Where the playbooks and roles are: beside the package in a checkout, inside it when installed."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def content_dir() -> Path:
    """Folder that holds ``playbooks/`` and ``roles/``."""
    installed = _PACKAGE / "_content"
    return installed if installed.is_dir() else _PACKAGE.parent
