"""What has to happen before a changed file has an effect. Each once, in the order of ``KINDS``.

An activation is due when one of the paths it waits for changes, and also when what it brings about is not so
on the running host, whatever the files say: effective beats declared. One file a subject; ``interface`` says
what each of them is.
"""

from __future__ import annotations

from typing import Mapping

from host_converge.activations.apparmor import ApparmorLoad
from host_converge.activations.audit import AuditRulesLoad
from host_converge.activations.bootloader import BootParameters
from host_converge.activations.docker import Docker
from host_converge.activations.firewall import Firewall
from host_converge.activations.group import GroupMembers
from host_converge.activations.interface import Activation
from host_converge.activations.modules import ModulesLoad
from host_converge.activations.selinux import SelinuxEnforce
from host_converge.activations.sysctl import Sysctl
from host_converge.activations.systemd import SystemdReload
from host_converge.activations.units import Units
from host_converge.activations.updates import AutomaticUpdates, PendingUpdates
from host_converge.activations.usernsmigrate import UsernsMigrate

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
