"""Take everything along when the engine begins to remap users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

from host_converge import files, jsonkeys
from host_converge.activations.interface import Activation
from host_converge.errors import Refused
from host_converge.impacts import IMPACTS
from host_converge.planning import Plan

if TYPE_CHECKING:  # imported where it is needed: few runs migrate
    from host_converge.migration.move import Migration

_KEY = "userns-remap"
_RECREATE = IMPACTS[5]


class UsernsMigrate(Activation):
    """Move images, volumes, networks and containers into the data root of user namespaces.

    It restarts the engine itself, with everything else that changes in its configuration: the activation
    ``docker`` is told to leave that to it.

    Settings: ``when``, ``config`` (path of daemon.json), ``dockerd``, ``socket``, ``unit``, ``containerd``
    (socket of the one that the engine uses), ``uids`` and ``gids`` (first of the range, and how many),
    ``exempt`` (names of containers that may stay in the host's user namespace), ``timeout``.
    """

    name = "userns-migrate"
    action = "move everything into user namespaces"
    known = frozenset(
        {"when", "config", "dockerd", "socket", "unit", "containerd", "uids", "gids", "exempt", "timeout"}
    )

    def __init__(self, settings: Mapping[str, Any], *, check: bool = False) -> None:
        super().__init__(settings, check=check)
        missing = sorted(self.known - {"when", "exempt", "timeout"} - set(settings))
        if missing:
            raise Refused(f"activation {self.name}: {', '.join(missing)} is missing")
        self.config = files.real_path(settings["config"])
        self._wanted: Mapping[str, Any] = {}
        self._moved: list[str] = []

    def prepare(self, plan: Plan) -> None:
        """Due when the key comes; refused where anything could not be moved."""
        before = jsonkeys.parse(plan.before(self.config).content or b"", self.config)
        self._wanted = jsonkeys.parse(plan.after(self.config).content or b"", self.config)
        if before.get(_KEY) or not self._wanted.get(_KEY):
            return
        self.reasons = [f"{_KEY} is switched on"]
        self.impact = _RECREATE
        migration = self._migration()
        survey = migration.survey()
        obstacles = migration.obstacles(survey)
        if obstacles:
            raise Refused(f"cannot move into user namespaces: {'; '.join(obstacles)}")
        holdings = survey.holdings
        self._moved = sorted(each["Name"].lstrip("/") for each in holdings.containers)
        self.costs = (
            f"stops and makes again {len(holdings.containers)} containers, and copies {len(holdings.images)}"
            f" images, {len(survey.volumes)} volumes and {len(holdings.networks)} networks"
        )
        self.pending = survey.notes()

    def describe(self) -> dict[str, Any]:
        """Action, reasons, and which containers are made again."""
        return {**super().describe(), "recreates": self._moved}

    def perform(self) -> None:
        """Move everything."""
        self.pending = self.pending + self._migration().perform()

    def problems(self) -> list[str]:
        """Containers that do not run any more."""
        return self._migration().problems()

    def undo(self) -> list[str]:
        """Back to the old root, which has everything as it was."""
        return self._migration().undo()

    def _migration(self) -> Migration:
        from host_converge.migration.move import Migration, Target, shift_from

        settings = self.settings
        target = Target(
            socket=settings["socket"],
            unit=settings["unit"],
            dockerd=settings["dockerd"],
            containerd=settings["containerd"],
            config=self._wanted,
            shift=shift_from(settings),
            exempt=settings.get("exempt", ()),
            timeout=float(settings.get("timeout", 120)),
        )
        return Migration(target, self.memory, self.save)
