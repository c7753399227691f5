"""Compare hosts with the wishes of their inventory, from their answers in check mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.hardener.docker.plugins.module_utils.contract import WISH_APPLIED

from hardener.model import RoleWishes
from hardener.plan import Fate, Outlook, WishResult


@dataclass(frozen=True, slots=True)
class WishComparison:
    """The differences between hosts and the wishes of their inventory, by host.

    Attributes:
        left: applied wishes that the host has no longer.
        pending: wishes that were never applied, or that the inventory has changed since.
        unknown: the reason why a host could not be compared.
    """

    left: Mapping[str, tuple[WishResult, ...]] = field(default_factory=dict)
    pending: Mapping[str, tuple[WishResult, ...]] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)

    def by_role(self, host: str, roles: Sequence[str]) -> tuple[RoleWishes, ...]:
        """Return the differences of one host, by each of the roles with wishes."""

        def names(found: Mapping[str, tuple[WishResult, ...]], role: str) -> tuple[str, ...]:
            return tuple(each.name for each in found.get(host, ()) if each.role == role)

        return tuple(
            RoleWishes(role, names(self.left, role), names(self.pending, role), self.unknown.get(host, ""))
            for role in roles
        )


def compare_wishes(outlooks: Sequence[Outlook]) -> WishComparison:
    """Return the differences that the hosts have found."""

    def differing(*, applied: bool) -> dict[str, tuple[WishResult, ...]]:
        found = {
            each.host: tuple(
                wish
                for wish in each.wishes
                if wish.fate is not Fate.UNCHANGED
                and (wish.state == WISH_APPLIED) is applied
                and (wish.paths or not applied)  # without a path, only an activation is due
            )
            for each in outlooks
            if not each.failure
        }
        return {host: wishes for host, wishes in found.items() if wishes}

    return WishComparison(
        left=differing(applied=True),
        pending=differing(applied=False),
        unknown={each.host: each.failure for each in outlooks if each.failure},
    )
