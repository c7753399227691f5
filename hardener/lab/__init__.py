"""Disposable Docker hosts: Debian guests under QEMU, restored in seconds from an image that is built once."""

from __future__ import annotations

from hardener.lab.guest import Guest, down, find, status, up
from hardener.lab.image import Say, build
from hardener.lab.recipe import RELEASES, release_named

__all__ = ["RELEASES", "Guest", "Say", "build", "down", "find", "release_named", "status", "up"]
