"""``hardener lab``: start and remove disposable Docker hosts."""

from __future__ import annotations

import os

import click

from hardener import umask
from hardener.cli.command_groups import CommandGroup

_release = click.option(
    "--debian",
    "release",
    metavar="12|13|testing",
    default="13",
    show_default=True,
    help="Debian release.",
)
_bare = click.option("--bare", is_flag=True, help="A guest without Docker.")
_name = click.option("--name", metavar="NAME", help="Name of the guest. [default: debian, release and kind]")


@click.group(cls=CommandGroup, short_help="Disposable Docker hosts for tests.", hidden=True)
def lab() -> None:
    """Disposable Docker hosts: Debian virtual machines under QEMU, reachable on loopback only.

    The first start of a release installs it from Debian, which takes minutes; later ones take seconds.
    Images and guests are kept below ~/.cache/hardener/lab (or XDG_CACHE_HOME).
    """
    os.umask(umask.given())  # files of the guest are not private to this user


@lab.command(short_help="Start a guest; print its inventory file.")
@_release
@_bare
@_name
def up(release: str, *, bare: bool, name: str | None) -> None:
    """Start a pristine Docker host and print the path of an Ansible inventory for it.

    A running guest of that name is kept as it is. A bare guest has no Docker.
    """
    from hardener import lab as guests

    guest = guests.up(_named(name, release, bare=bare), _variant(release, bare=bare), report=_say)
    _say(f"guest {guest.name} is up: hardener lab ssh --name {guest.name}")
    click.echo(guest.inventory)


@lab.command(short_help="List the guests.")
def status() -> None:
    """List the guests: name, release, state, port of its ssh on 127.0.0.1, inventory file."""
    from hardener import lab as guests

    for guest in guests.status():
        state = "stopped" if guest.pid is None else "running"
        click.echo(f"{guest.name}\t{guest.release}\t{state}\t{guest.port}\t{guest.inventory}")


@lab.command(
    short_help="Log in to a guest, or run a command there.",
    context_settings={"allow_interspersed_args": False},
)
@_release
@_bare
@_name
@click.option(
    "--user", type=click.Choice(["root", "lab"]), default="root", show_default=True, help="User to log in as."
)
@click.argument("command", nargs=-1)
def ssh(release: str, *, bare: bool, name: str | None, user: str, command: tuple[str, ...]) -> None:
    """Log in to a guest, or run COMMAND there; its words are passed unchanged.

    Both users have all rights: `lab` by sudo without a password.
    """
    from hardener import lab as guests

    argv = guests.find(_named(name, release, bare=bare)).ssh_command(*command, user=user)
    os.execvp(argv[0], argv)  # noqa: S606 - ssh takes over the terminal and the exit code


@lab.command(short_help="Stop a guest and remove it.")
@_release
@_bare
@_name
def down(release: str, *, bare: bool, name: str | None) -> None:
    """Stop a guest and remove its files; the image stays for the next guest."""
    from hardener import lab as guests

    chosen = _named(name, release, bare=bare)
    _say(f"removed guest {chosen}" if guests.down(chosen) else f"there is no guest {chosen}")


def _variant(release: str, *, bare: bool) -> str:
    return f"{release}-bare" if bare else release


def _named(name: str | None, release: str, *, bare: bool) -> str:
    return name if name is not None else f"debian-{_variant(release, bare=bare)}"


def _say(line: str) -> None:
    click.echo(line, err=True)
