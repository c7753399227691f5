"""What has to happen before a changed file has an effect. Each once, in the order of ``KINDS``.

An activation is due when one of the paths it waits for changes, and also when what it brings about is not so
on the running host, whatever the files say: effective beats declared. One file a subject; ``interface`` says
what each of them is.
"""

from __future__ import annotations

from typing import Mapping

from .apparmor import ApparmorLoad
from .audit import AuditRulesLoad
from .bootloader import BootParameters
from .docker import Docker
from .firewall import Firewall
from .group import GroupMembers
from .interface import Activation
from .modules import ModulesLoad
from .selinux import SelinuxEnforce
from .sysctl import Sysctl
from .systemd import SystemdReload
from .units import Units
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
        UsernsMigrate,
        Docker,
        Firewall,  # last: from then on it is the guard's time that runs, and nobody's else
    )
}
