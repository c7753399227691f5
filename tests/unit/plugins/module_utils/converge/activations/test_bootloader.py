from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.converge import system
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import bootloader
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.bootloader import (
    BootParameters,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations.interface import Begun
from ansible_collections.hardener.docker.plugins.module_utils.converge.errors import Failed, Refused

from tests.unit.plugins.module_utils.converge.host import Host

WORDS = ["apparmor=1", "security=apparmor"]
MENU = """\
menuentry 'Debian' {{
	linux	/vmlinuz-6.12 root=/dev/vda ro {options}
}}
menuentry 'Debian (recovery mode)' {{
	linux	/vmlinuz-6.12 root=/dev/vda ro single
}}
"""


class Grub:
    """A GRUB whose menu takes what ``options`` says."""

    def __init__(self, folder: Path) -> None:
        self.menu = folder / "grub.cfg"
        self.running = folder / "cmdline"
        self.options = " ".join(WORDS)
        self.made = 0
        self.menu.write_text(MENU.format(options="quiet"))
        self.running.write_text("BOOT_IMAGE=/vmlinuz root=/dev/vda ro quiet\n")

    def run(self, *command: str, timeout: float = 30) -> str:
        assert command == ("grub-mkconfig", "-o", str(self.menu))
        self.made += 1
        self.menu.write_text(MENU.format(options=self.options))
        return ""


@pytest.fixture
def grub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Grub:
    made = Grub(tmp_path)
    monkeypatch.setattr(bootloader, "MENU", str(made.menu))
    monkeypatch.setattr(bootloader, "COMMAND_LINE", str(made.running))
    monkeypatch.setattr(system, "installed", lambda _: True)
    monkeypatch.setattr(system, "must", made.run)
    return made


def prepared(host: Host, words: list[str] = WORDS) -> BootParameters:
    activation = BootParameters({"when": [], "parameters": words})
    activation.prepare(host.plan())
    return activation


def test_a_menu_without_the_parameters_is_generated_again_and_applies_at_the_next_boot(
    host: Host, grub: Grub
) -> None:
    activation = prepared(host)
    assert len(activation.reasons) == len(WORDS)
    activation.perform()
    assert activation.problems() == []
    again = prepared(host)
    assert not again.due
    assert again.pending == ["apparmor=1 security=apparmor takes effect at the next boot"]
    grub.running.write_text(f"BOOT_IMAGE=/vmlinuz {' '.join(WORDS)}\n")
    assert prepared(host).pending == []


def test_the_last_value_of_a_repeated_kernel_parameter_is_compared(host: Host, grub: Grub) -> None:
    grub.options = "apparmor=1 security=apparmor apparmor=0"
    activation = prepared(host)
    activation.perform()
    assert activation.problems() == [f"apparmor=1 is not in {grub.menu}: see /etc/default/grub"]
    grub.options = "apparmor=0 apparmor=1 security=apparmor"
    activation.perform()
    assert activation.problems() == []


def test_an_undo_generates_the_menu_from_the_restored_files(host: Host, grub: Grub) -> None:
    activation = prepared(host)
    activation.perform()
    grub.options = "quiet"
    assert activation.undo() == []
    assert grub.made == 2
    assert "apparmor" not in grub.menu.read_text()


def test_a_menu_that_cannot_be_generated_fails(
    host: Host, grub: Grub, monkeypatch: pytest.MonkeyPatch
) -> None:
    activation = prepared(host)

    def fail(*command: str, timeout: float) -> str:
        raise Failed("grub-mkconfig: no space left")

    monkeypatch.setattr(system, "must", fail)
    with pytest.raises(Failed, match="no space left"):
        activation.perform()


def test_a_run_is_refused_if_grub_mkconfig_is_missing(
    host: Host, grub: Grub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "installed", lambda _: False)
    with pytest.raises(Refused, match="grub-mkconfig is not installed"):
        prepared(host)


@pytest.mark.parametrize("word", ["$(reboot)=1", "quiet", "apparmor=1 init=/bin/sh", 'a="b"'])
def test_an_invalid_kernel_parameter_is_refused(host: Host, grub: Grub, word: str) -> None:
    with pytest.raises(Refused, match="is not a kernel parameter"):
        prepared(host, [word])


def test_a_release_generates_the_menu_without_the_parameters(
    host: Host, grub: Grub, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = [Begun({"when": [host.path("grub.d/x")], "parameters": WORDS}, {})]
    grub.running.write_text("ro apparmor=1\n")
    settings, kept, left = BootParameters.former(begun)
    assert (kept, left) == ((), ["apparmor=1 stays on the kernel's command line until the next boot"])
    assert settings == {"when": [host.path("grub.d/x")], "parameters": []}
    activation = BootParameters(settings)
    (host.folder / "grub.d").mkdir()
    activation.prepare(host.plan(host.file("grub.d/x", "")))
    assert activation.due
    activation.perform()
    assert (grub.made, activation.problems()) == (1, [])
    monkeypatch.setattr(system, "installed", lambda _: False)
    settings, _, left = BootParameters.former(begun)
    assert (settings, left[1:]) == (
        None,
        [f"{grub.menu} keeps its parameters: grub-mkconfig is not installed"],
    )
