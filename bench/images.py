"""Time the verification of many signed images of one host, against a real registry on loopback.

    python -m bench.images [--images 100] [--runs 5]

Starts a private dockerd and a registry with TLS, pushes and signs N images of their own (cosign), and times
what `hardener scan verify` does on the host, without Ansible. Needs root, docker-registry and cosign.
"""

from __future__ import annotations

import argparse
import statistics
import time

from ansible_collections.hardener.docker.plugins.module_utils.trust import main as host_trust

from tests.integration.dockerd import Dockerd
from tests.integration.registries import Authority, Cosign, Registry
from tests.integration.supply import Supply


def main() -> None:
    """Measure, and print the median."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with (
        Dockerd() as engine,
        Authority() as authority,
        Registry(authority) as registry,
        Cosign(authority) as keys,
        Cosign(authority) as others,
    ):
        supply = Supply(engine, authority, registry, keys, others)
        for number in range(options.images):
            supply.push(f"app{number}:1", signed_by=keys)
        seconds = []
        for _ in range(options.runs):
            begun = time.perf_counter()
            found = host_trust.verify(supply.arguments())
            seconds.append(time.perf_counter() - begun)
            verified = sum(image["status"] == "verified" for image in found["images"])
            assert verified == options.images, found
    print(f"{options.images} images: {statistics.median(seconds):.2f} s, slowest {max(seconds):.2f} s")


if __name__ == "__main__":
    main()
