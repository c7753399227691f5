"""Make changed files effective: activations, each performed at most once, in the order of ``KINDS``.

An activation is due when one of the paths in its ``when`` changes, and also when its effect is missing on the
running host, whatever the files say. One module per activation; ``interface`` defines what all of them have
in common.
"""

from __future__ import annotations

from typing import Mapping

from .account import Account
from .apparmor import ApparmorLoad
from .audit import AuditRulesLoad
from .bootloader import BootParameters
from .docker import Docker
from .firewall import Firewall
from .group import GroupMembers
from .interface import Activation
from .modules import ModulesLoad
from .recreate import Recreate
from .selinux import SelinuxEnforce
from .sysctl import Sysctl
from .units import SystemdReload, Units
from .updates import AutomaticUpdates, PendingUpdates
from .usernsmigrate import UsernsMigrate

KINDS: Mapping[str, type[Activation]] = {
    kind.name: kind
    for kind in (
        SystemdReload,
        ModulesLoad,
        Sysctl,
        AuditRulesLoad,
        ApparmorLoad,
        Units,
        GroupMembers,
        AutomaticUpdates,
        PendingUpdates,
        BootParameters,
        SelinuxEnforce,
        Account,
        UsernsMigrate,
        Docker,
        Recreate,
        Firewall,  # last: only the guard may add to the time without a connection
    )
}
