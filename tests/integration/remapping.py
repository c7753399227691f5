"""An engine that remaps users, which changes nothing on this machine to do so."""

from __future__ import annotations

from tests.integration.dockerd import Dockerd

BASE = 231072


class RemappingDockerd(Dockerd):
    """A private engine in a mount namespace of its own, where `daemon` has subordinate ids."""

    def __init__(self) -> None:
        super().__init__(config={"userns-remap": "daemon"}, starts_containerd=True)
        self.root.chmod(0o711)  # a remapped root has to pass
        self.ids = self.root / "subordinate"
        self.ids.write_text(f"daemon:{BASE}:65536\n")

    @property
    def command(self) -> list[str]:
        bind = 'mount --bind "$0" /etc/subuid && mount --bind "$0" /etc/subgid && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", bind, str(self.ids), *super().command]
