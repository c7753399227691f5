from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import system
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import modules
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Begun
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.modules import ModulesLoad
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Refused
from ansible_collections.hardener.docker.plugins.module_utils.host import kernels

from tests.unit.plugins.module_utils.converge.host import Host


def test_a_missing_module_is_due_unless_the_kernel_loads_no_more_modules(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules, "_in_kernel", lambda module: module == "there")
    activation = ModulesLoad({"when": [], "modules": ["there", "missing"]})
    monkeypatch.setattr(system, "read", lambda path: "0")
    activation.prepare(host.plan())
    assert activation.reasons == ["the module missing is not loaded"]
    monkeypatch.setattr(system, "read", lambda path: "1")
    with pytest.raises(Refused, match="loads no more modules until it is booted again"):
        activation.prepare(host.plan())


@pytest.mark.parametrize("trace", ["folder", "file", "list"])
def test_a_built_in_module_is_not_loaded(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: str
) -> None:
    monkeypatch.setattr(kernels, "LOADED", str(tmp_path))
    monkeypatch.setattr(kernels, "FILES", {"bridge_filter": str(tmp_path / "file")})
    monkeypatch.setattr(kernels, "KERNELS", str(tmp_path / "kernels"))
    built_in = tmp_path / "kernels" / os.uname().release / "modules.builtin"
    built_in.parent.mkdir(parents=True)
    built_in.write_text("kernel/net/bridge_filter.ko\n" * (trace == "list"))
    (tmp_path / {"folder": "bridge_filter", "file": "file", "list": "other"}[trace]).mkdir()
    activation = ModulesLoad({"when": [], "modules": ["bridge_filter"]})
    activation.prepare(host.plan())
    assert activation.reasons == activation.problems() == []


def test_a_module_name_cannot_be_an_option(host: Host) -> None:
    with pytest.raises(Refused, match="is not the name of a module"):
        ModulesLoad({"when": [], "modules": ["--remove"]}).prepare(host.plan())


def test_a_release_keeps_modules_loaded_and_reports_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.isdir", lambda path: path == "/sys/module/there")
    begun = [Begun({"modules": ["there", "built_in"]}, {}), Begun({"modules": ["there"]}, {})]
    assert ModulesLoad.former(begun) == (
        None,
        (),
        ["the kernel module there stays loaded until the next boot"],
    )
