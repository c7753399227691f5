"""Set kernel parameters for the next boot through GRUB."""

from __future__ import annotations

import re
from typing import Sequence

from .. import system
from ..errors import Refused
from ..planning import Plan
from .interface import Activation, Begun, Former, united

MENU = "/boot/grub/grub.cfg"
COMMAND_LINE = "/proc/cmdline"
_KERNEL = re.compile(r"\s*linux(?:16|efi)?\s")
_TIMEOUT = 300


class BootParameters(Activation):
    """Generate GRUB's menu from /etc/default/grub.d, and verify that it has the parameters.

    Settings: ``parameters``, words of the kernel's command line; files that ``when`` names add them.
    """

    name = "boot-parameters"
    touches = ()
    longest = 2.0 * _TIMEOUT
    action = "generate the boot menu"
    known = frozenset({"when", "parameters"})
    _valid = re.compile(r"[a-z0-9_.]+=[A-Za-z0-9_.,:/-]*")

    def prepare(self, plan: Plan) -> None:
        """Mark the activation as due if a file changes, or if the menu lacks a parameter."""
        super().prepare(plan)
        for word in self._parameters:
            if not self._valid.fullmatch(str(word)):
                raise Refused(f"activation {self.name}: {word!r} is not a kernel parameter")
        self.reasons += [f"{MENU} lacks {word}" for word in self._missing()]
        if self.due and not system.installed("grub-mkconfig"):
            raise Refused(
                "grub-mkconfig is not installed: install the package of your GRUB first (grub2-common)"
            )
        running = system.read(COMMAND_LINE).split()
        waiting = [word for word in self._parameters if not _in_force(word, running)]
        if waiting:
            self.pending = [f"{' '.join(waiting)} takes effect at the next boot"]

    @property
    def _parameters(self) -> Sequence[str]:
        words: Sequence[str] = self.settings.get("parameters", [])
        return words

    def _missing(self) -> list[str]:
        """Return the parameters that the first menu entry, which boots by default, does not have."""
        lines = system.read(MENU).splitlines()
        first = next((line.split() for line in lines if _KERNEL.match(line)), [])
        return [word for word in self._parameters if not _in_force(word, first)]

    def perform(self) -> None:
        """Generate the menu."""
        system.must("grub-mkconfig", "-o", MENU, timeout=_TIMEOUT)

    @classmethod
    def former(cls, begun: Sequence[Begun]) -> Former:
        """Return settings that generate the menu without the parameters; the running kernel keeps them."""
        running = system.read(COMMAND_LINE).split()
        words = dict.fromkeys(str(word) for each in begun for word in each.settings.get("parameters", ()))
        left = [
            f"{word} stays on the kernel's command line until the next boot"
            for word in words
            if word in running
        ]
        if not system.installed("grub-mkconfig"):
            return Former(None, left=[*left, f"{MENU} keeps its parameters: grub-mkconfig is not installed"])
        return Former({"when": united(begun), "parameters": []}, left=left)

    def undo_at_boot(self) -> list[str]:
        """Generate the menu for the next boot again; the current boot has already used the former menu."""
        return self.undo()

    def problems(self) -> list[str]:
        """Return the parameters that are missing in the menu."""
        return [f"{word} is not in {MENU}: see /etc/default/grub" for word in self._missing()]


def _in_force(word: str, command_line: Sequence[str]) -> bool:
    """Return whether the kernel's command line sets a parameter to this value; the last occurrence counts."""
    name = word.partition("=")[0]
    given = [other for other in command_line if other.partition("=")[0] == name]
    return given[-1:] == [word]
