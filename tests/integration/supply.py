"""Where images come from: an engine, a registry, a signer whom the site trusts, and one whom it does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.trust import main, pull, references
from ansible_collections.hardener.docker.plugins.module_utils.trust.registry import Settings

from tests.integration.dockerd import IMAGE, Dockerd
from tests.integration.registries import Authority, Cosign, Registry, docker


class Supply:
    """An engine, a registry, a signer whom the site trusts, and one whom it does not."""

    def __init__(
        self, engine: Dockerd, authority: Authority, registry: Registry, keys: Cosign, others: Cosign
    ):
        self.engine, self.authority, self.registry = engine, authority, registry
        self.keys, self.others = keys, others
        self.certificates = authority.trusted_by(registry)
        self.record = authority.root / "trust" / "record.json"
        self._made = 0

    def name(self, reference: str) -> str:
        return f"{self.registry.name}/{reference}"

    def push(self, reference: str, *, signed_by: Cosign | None = None) -> str:
        """Build an image of its own, push it under a name, sign it; its digest."""
        self._made += 1
        self.engine.build(self.name(reference), f"FROM {IMAGE}\nLABEL number={self._made}\n")
        said = docker(self.engine.host, "push", self.name(reference))
        assert said.returncode == 0, said.stderr
        digest = said.stdout.partition("digest: ")[2].split()[0]
        if signed_by:
            signed_by.sign(f"{self.name(reference).rpartition(':')[0]}@{digest}")
        return digest

    def arguments(self, **changes: Any) -> dict[str, Any]:
        return {
            "policy": self.policy(),
            "socket": str(self.engine.socket),
            "record": str(self.record),
            "certificates": str(self.certificates),
            "logins": ["/nonexistent"],
            **changes,
        }

    def policy(self, *rules: Mapping[str, Any], exceptions: list[Any] | None = None) -> dict[str, Any]:
        usual = {"prefix": self.registry.name, "keys": [self.keys.public_key]}
        return {"registries": [usual, *rules], "exceptions": exceptions or []}

    def verify(self, **changes: Any) -> dict[str, tuple[str, str]]:
        """What is said of each image, by its first name."""
        found = main.verify(self.arguments(**changes))
        return {
            (image["names"] or [image["id"]])[0].removeprefix(f"{self.registry.name}/"): (
                image["status"],
                image["detail"],
            )
            for image in found["images"]
        }

    def pull(self, reference: str, **changes: Any) -> str:
        arguments = self.arguments(**changes)
        return pull.pull(
            references.parse(reference if "/" in reference else self.name(reference)),
            policy=arguments["policy"],
            socket=arguments["socket"],
            settings=Settings(logins=tuple(arguments["logins"]), certificates=arguments["certificates"]),
        )

    def image(self, reference: str) -> dict[str, Any]:
        found: dict[str, Any] = self.engine.api("GET", f"/images/{self.name(reference)}/json")
        return found

    def signature_payload(self, path: str, digest: str) -> Path:
        """Where the registry keeps what was signed."""
        link = self.registry.tag_link(path, digest.replace(":", "-") + ".sig")
        manifest = json.loads(self.registry.blob(link.read_text()).read_bytes())
        return self.registry.blob(manifest["layers"][0]["digest"])

    def copy_signature(self, source: str, signed: str, target: str, image: str) -> None:
        """Put the signature of one image where another's is looked for, as whoever has the disk can."""
        repositories = self.registry.storage / "docker/registry/v2/repositories"
        manifest = self.registry.tag_link(source, signed.replace(":", "-") + ".sig").read_text()
        for kind in ("_layers", "_manifests/revisions") if source != target else ():
            shutil.copytree(repositories / source / kind, repositories / target / kind, dirs_exist_ok=True)
        link = self.registry.tag_link(target, image.replace(":", "-") + ".sig")
        link.parent.mkdir(parents=True)
        link.write_text(manifest)

    def stock_pull(self, reference: str) -> bool:
        """Whether the docker client and engine alone pull it."""
        return docker(self.engine.host, "pull", self.name(reference)).returncode == 0

    def forget(self) -> None:
        """Remove every image of the registry from the engine."""
        self.engine.remove_containers()
        for image in self.engine.api("GET", "/images/json"):
            if IMAGE not in (image["RepoTags"] or ()):
                self.engine.api("DELETE", f"/images/{image['Id']}?force=1")
