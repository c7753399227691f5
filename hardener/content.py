"""Find the Ansible collection `hardener.docker`: in a checkout, or next to the installed package."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_BELOW = Path("ansible_collections", "hardener", "docker")


def collections_path() -> Path:
    """Return the folder in which Ansible finds the collection by its name."""
    checkout = _PACKAGE.parent / ".collections"
    return checkout if checkout.is_dir() else _PACKAGE.parent


def content_dir() -> Path:
    """Return the folder of the collection, which contains ``playbooks/``, ``plugins/`` and ``roles/``."""
    return collections_path() / _BELOW


def make_importable() -> None:
    """Make the modules of this version of the collection importable by name.

    In a checkout, the package `ansible` of distributions would hide them; and another version of the
    collection that comes first on Python's path would be imported instead of this one.
    """
    folder = str(collections_path() / _BELOW.parts[0])
    try:
        collections = importlib.import_module(_BELOW.parts[0])
    except ModuleNotFoundError:
        sys.path.append(str(collections_path()))
        collections = importlib.import_module(_BELOW.parts[0])
    if next(iter(collections.__path__)) != folder:
        collections.__path__ = [folder, *(path for path in collections.__path__ if path != folder)]
