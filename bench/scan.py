"""Time scans of many images: a first scan, a second, and one after the index has changed.

    python -m bench.scan --images 100 [--drivers overlay2,vfs] [--json FILE]

Starts a private dockerd with N images of Debian 12 without its security updates, each of an id of its own,
and scans them on this machine with records of its own, by the index that apt of this machine fetches. Prints
seconds as Markdown. Needs root and apt's network.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from ansible_collections.hardener.docker.plugins.module_utils.scan.main import scan

from tests.integration.dockerd import Dockerd, _tar
from tests.integration.oldroot import OldRoot
from tests.leftovers import scratch


def timed(driver: str, images: int, status: bytes, os_release: bytes, folder: Path) -> dict[str, Any]:
    """Return the seconds of the scans of one engine."""
    with Dockerd(flags=["--storage-driver", driver, "--bridge=none", "--iptables=false"]) as engine:
        files: dict[str, bytes | str] = {"etc/os-release": os_release, "var/lib/dpkg/status": status}
        for number in range(images):
            query = urlencode({"fromSrc": "-", "repo": "old", "tag": str(number)})
            engine.api("POST", f"/images/create?{query}", _tar({**files, "number": str(number).encode()}))
        folders = {"folder": str(folder / driver / "lib"), "cache": str(folder / driver / "cache")}
        (folder / driver / "cache").mkdir(parents=True, mode=0o755)
        arguments = {"images": True, "socket": str(engine.socket), **folders}
        scan({**arguments, "images": False})  # the indexes of the host are there, as on any day but the first
        seconds = {}
        for name in ("first", "second"):
            begun = time.perf_counter()
            found = scan(arguments)
            seconds[name] = round(time.perf_counter() - begun, 2)
        states = Counter(image["state"] for image in found["images"].values())
        waiting = len(next(iter(found["images"].values()))["packages"])
        return {"driver": driver, "images": len(found["images"]), "read again": found["read"], **seconds} | {
            "states": dict(states),
            "waiting in each": waiting,
        }


def main() -> None:
    """Measure, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--drivers", default="overlay2,vfs")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with scratch("scan", parent=Path("/var/tmp")) as folder:
        folder.chmod(0o755)
        root = OldRoot(folder / "old", "bookworm")
        status = root.status()
        rows = [
            timed(driver, options.images, status, root.os_release, folder)
            for driver in options.drivers.split(",")
        ]
    print("| images | read by | first scan | second scan | read again |")
    print("| ---: | --- | ---: | ---: | ---: |")
    for row in rows:
        how = "its layers" if row["driver"] == "overlay2" else f"the engine ({row['driver']})"
        print(f"| {row['images']} | {how} | {row['first']} s | {row['second']} s | {row['read again']} |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
