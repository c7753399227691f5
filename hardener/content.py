"""Find the Ansible collection `hardener.docker`: in a checkout, or beside the installed package."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_BELOW = Path("ansible_collections", "hardener", "docker")


def collections_path() -> Path:
    """Return the folder in which Ansible finds the collection by its name."""
    checkout = _PACKAGE.parent / ".collections"
    return checkout if checkout.is_dir() else _PACKAGE.parent


def content_dir() -> Path:
    """Return the collection's own folder, which holds ``playbooks/``, ``plugins/`` and ``roles/``."""
    return collections_path() / _BELOW
