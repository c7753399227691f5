"""What a guest runs to get an image and containers whose every text attacks its reader.

Fed to ``python3 -`` in the guest. An image from a registry can hold anything, so it is loaded from an archive
made by hand; containers are made through the API, which takes what the client would refuse.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import socket
import tarfile
from pathlib import Path
from typing import Any

# Escape sequences, line ends, a C1 control, a bidirectional override, a zero-width space, a noncharacter, and
# markup for every reader of a report.
EVIL = (
    "\x1b[31m\x1b]0;owned\x07\r\n\x7f\x9b2J\u202elive\u2066\u200b\ufffe"
    "</testcase><script>alert(1)</script>]]>&\"'[bold]{{7*7}}[[ATTACHMENT|x]]"
)
MEGABYTE = "A" * (1 << 20)
LINK = Path("/srv", EVIL.replace("/", ""))


class Engine(http.client.HTTPConnection):
    def __init__(self) -> None:
        super().__init__("docker", timeout=120)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/docker.sock")

    def post(self, path: str, body: Any = None, kind: str = "application/json") -> None:
        self.request(
            "POST", path, body if isinstance(body, bytes) else json.dumps(body), {"Content-Type": kind}
        )
        answer = self.getresponse()
        said = answer.read()
        if answer.status >= 300 or b'"error"' in said:
            raise SystemExit(f"{path}: {answer.status} {said[:2000]!r}")


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def image() -> bytes:
    """As ``docker save`` writes one."""
    layer = archive(busybox=Path("/bin/busybox").read_bytes())
    config = {
        "architecture": "amd64",
        "os": "linux",
        "author": EVIL,
        "config": {
            "Env": [f"AWS_SECRET_ACCESS_KEY{EVIL}=wJalrXUtnFEMI", f"X={MEGABYTE}", "no value"],
            "Labels": {EVIL: EVIL, "": ""},
            "Entrypoint": [EVIL],
            "Cmd": [EVIL],
        },
        "history": [
            {"created_by": f"/bin/sh -c {EVIL}", "comment": EVIL, "author": EVIL},
            {"created_by": f"/bin/sh -c #(nop) ADD https://example.org/{EVIL} in / ", "empty_layer": True},
            {"created_by": MEGABYTE, "comment": EVIL, "empty_layer": True},
        ],
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": ["hostile:1"], "Layers": ["layer.tar"]}]
    files = {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    return archive(**files, **{"layer.tar": layer})


def main() -> None:
    LINK.symlink_to("/etc")
    engine = Engine()
    engine.post("/images/load", image(), "application/x-tar")
    engine.post("/networks/create", {"Name": "net", "Labels": {EVIL: EVIL}, "Options": {EVIL: EVIL}})
    container = {
        "Image": "hostile:1",
        "Entrypoint": ["/busybox", "sleep", "100000"],
        "Cmd": [],
        "Env": [f"PASSWORD{EVIL}={EVIL}", f"BIG={MEGABYTE[:100_000]}"],
        "Labels": {EVIL: EVIL, "com.docker.compose.project": MEGABYTE},
        "HostConfig": {
            "Mounts": [{"Type": "bind", "Source": str(LINK), "Target": "/host"}],
            "NetworkMode": "net",
        },
    }
    engine.post("/containers/create?name=hostile", container)
    engine.post("/containers/hostile/start")
    engine.post(
        "/containers/create?name=stopped", {**container, "Entrypoint": [EVIL], "Cmd": [EVIL], "Labels": {}}
    )


if __name__ == "__main__":
    main()
