"""Answers of honest hosts."""

from __future__ import annotations

CONTAINER = {"name": "web", "running": True, "by_digest": False}
IMAGE = {
    "id": "sha256:1",
    "names": ["a:1"],
    "status": "verified",
    "detail": "signed",
    "rule": "r",
    "containers": [CONTAINER],
}
RECORD = {"verified_at": "2026-11-25T04:00:00Z", "elapsed_ms": 5, "images": [IMAGE]}
