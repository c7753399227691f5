"""Migrate the engine's data when user remapping is switched on, or leave it behind if requested."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, Sequence

from ...contract import CONTAINERS_RECREATE, DATA_HIDDEN
from ...docker.http import NoAnswer
from .. import files, jsonkeys, system
from ..errors import Failed, Refused
from ..planning import Plan
from ..serving import FORMER, Finder
from .interface import AtEngine, Begun, Former

if TYPE_CHECKING:  # imported on demand: few runs migrate
    from ..migration.move import Migration
    from ..migration.survey import Holdings

_KEY = "userns-remap"
_MOST_NAMESPACES = "/proc/sys/user/max_user_namespaces"
_AT_LEAST = 1800  # seconds for everything except copying
_SLOWEST = 4e6  # bytes per second


class UsernsMigrate(AtEngine):
    """Migrate an engine with data to user namespaces.

    It restarts the engine itself, with all other changes of its configuration: the activation ``docker``
    leaves the restart to it.

    Settings: ``when``, ``uids`` and ``gids`` (first of the range, and how many), ``exempt`` (names of
    containers that may stay in the host's user namespace), ``leave`` (nothing is moved: images, volumes,
    networks and containers stay where they are, and the engine no longer lists them), ``timeout``.
    """

    name = "userns-migrate"
    affects_starts = True
    known = frozenset(
        {
            *FORMER,
            "when",
            "uids",
            "gids",
            "exempt",
            "leave",
            "timeout",
        }
    )

    def __init__(
        self, settings: Mapping[str, Any], *, check: bool = False, finder: Finder | None = None
    ) -> None:
        super().__init__(settings, check=check, finder=finder)
        missing = sorted({"uids", "gids"} - set(settings))
        if missing:
            raise Refused(f"activation {self.name}: {', '.join(missing)} is missing")
        self._wanted: Mapping[str, Any] = {}
        self._leave = bool(settings.get("leave"))
        self._moved: list[str] = []
        self.action = (
            "start with an empty data root in user namespaces"
            if self._leave
            else "move containers, images, volumes and networks into user namespaces"
        )

    @property
    def stops_engine(self) -> bool:
        """Return True: the engine stops during the migration."""
        return True

    @property
    def baseline(self) -> Mapping[str, Any]:
        """Return what worked before the containers of the old data root were stopped."""
        found: Mapping[str, Any] = self.memory.get("picture", {})
        return found

    def prepare(self, plan: Plan) -> None:
        """Mark the activation as due if remapping is to be enabled; refuse if data cannot be moved."""
        self.locate()
        config = files.real_path(self.served.config)
        self._wanted = jsonkeys.parse(plan.after(config).content or b"", config)
        if not self._wanted.get(_KEY):
            return
        self.memory["engine"] = {**self.served.note(), "containerd": self._containerd()}
        migration = self._migration()
        try:
            survey = migration.survey()
        except Failed as failed:
            raise Refused(
                f"the containers, images, volumes and networks of the engine cannot be listed: {failed}"
            ) from failed
        holdings = survey.holdings
        if holdings.remapped:
            return
        self._refuse_impossible()
        self.reasons = [f"{_KEY} is switched on"]
        self._moved = sorted(each["Name"].lstrip("/") for each in holdings.containers)
        if self._leave:
            self._see_what_is_left(holdings)
            return
        try:
            size, obstacles = migration.obstacles(survey)
        except Failed as failed:
            size, obstacles = 0, [str(failed)]
        if obstacles:
            raise Refused(f"cannot move into user namespaces: {'; '.join(obstacles)}")
        self.longest = _AT_LEAST + size / _SLOWEST
        self.impact = CONTAINERS_RECREATE
        self.costs = (
            f"stops and recreates {len(holdings.containers)} containers, and copies {len(holdings.images)}"
            f" images, {len(survey.volumes)} volumes and {len(holdings.networks)} networks"
        )
        self.pending = survey.notes()

    def _refuse_impossible(self) -> None:
        from ..migration import restart

        features = self._wanted.get("features")
        if isinstance(features, dict) and features.get("containerd-snapshotter") is True:
            raise Refused(
                f"{_KEY} and the containerd image store (containerd-snapshotter) exclude each other"
            )
        if system.read(_MOST_NAMESPACES) == "0":
            raise Refused(f"{_KEY} needs user namespaces, and user.max_user_namespaces is 0 on this host")
        problem = restart.problem(self.served.unit)
        if problem:
            raise Refused(problem)

    def _see_what_is_left(self, holdings: Holdings) -> None:
        held = {
            "containers": holdings.containers,
            "images": holdings.images,
            "volumes": holdings.volumes,
            "networks": holdings.networks,
        }
        counted = ", ".join(f"{len(each)} {what}" for what, each in held.items())
        self.longest = _AT_LEAST
        self.impact = DATA_HIDDEN
        self.costs = f"the engine no longer sees its {counted}; containers that run are stopped"

    def describe(self) -> dict[str, Any]:
        """Return action, reasons, and which containers are recreated or left behind."""
        return {**super().describe(), "leaves" if self._leave else "recreates": self._moved}

    def perform(self) -> None:
        """Migrate the data root, and undo it on failure; or leave the data behind."""
        self.memory["terms"] = self.terms and self.terms._asdict()
        migration = self._migration()
        self.pending = self.pending + (migration.leave() if self._leave else migration.perform())

    def problems(self) -> list[str]:
        """Return the containers that no longer run."""
        return self._migration().problems()

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:  # noqa: ARG003 - whatever it was
        """Return no settings: data written after the migration exist in the new data root only."""
        return Former(None)

    def undo(self) -> list[str]:
        """Return to the old data root, which is unchanged."""
        return self._migration().undo()

    def undo_at_boot(self) -> list[str]:
        """Do the same as `undo`, before the engine starts on the old data root by itself."""
        return self._migration().undo_at_boot()

    def _containerd(self) -> str:
        from ..engine import Engine

        try:
            return self.finder.containerd(Engine(self.served.socket).info() or {})
        except NoAnswer as error:
            raise Refused(f"the engine does not say which containerd it uses: {error}") from error

    def _migration(self) -> Migration:
        from ..migration.move import Migration, Target, shift_from

        settings = self.settings
        target = Target(
            socket=self.served.socket,
            unit=self.served.unit,
            dockerd=self.served.dockerd,
            containerd=str((self.memory.get("engine") or settings)["containerd"]),
            config=self._wanted,
            shift=shift_from(settings),
            exempt=settings.get("exempt", ()),
            timeout=float(settings.get("timeout", 120)),
        )
        return Migration(target, self.memory, self.save)
