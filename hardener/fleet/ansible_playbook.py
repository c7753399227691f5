"""``ansible-playbook`` as ansible-runner gets to start it: the same Ansible, sooner there and sooner gone.

It is run as a script, by its path, so that Ansible's process loads nothing else of hardener.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import Any

Parse = Callable[[Any, Any], Mapping[str, Any]]

_LIMITS = "ansible_collections.hardener.docker.plugins.plugin_utils.limits"
_TABLE = ("ansible.builtin", "runtime.yml")  # what Ansible calls the one that every process reads


# They reach no host, and what they return is the control node's own.
_LOCAL = frozenset(
    {"add_host", "assert", "debug", "fail", "group_by", "include_vars", "pause", "set_fact", "set_stats"}
    | {"validate_argument_spec"}
)

# All control characters but tabs and line ends, and what changes the order of characters.
_ACTING = {
    character: chr(character).encode("unicode_escape").decode("ascii")
    for character in (
        *(each for each in range(0x20) if chr(each) not in "\t\n"),
        *range(0x7F, 0xA0),
        0x061C,
        *range(0x200B, 0x2010),
        *range(0x2028, 0x202F),
        *range(0x2066, 0x206A),
        0xFEFF,
    )
}
# What ansible-runner answers with a password, wherever it reads it.
_PROMPT = re.compile(r"^(?=[ \t]*(?:BECOME|Vault) password: )", re.MULTILINE)


def main() -> None:
    """Be ``ansible-playbook``, with the arguments of this process.

    Before them: a file for its number, and the umask of tasks.
    """
    Path(sys.argv.pop(1)).write_text(str(os.getpid()), encoding="ascii")  # from now on it can be ended
    umask = int(sys.argv.pop(1), 8)
    os.umask(0o077)  # what is written here is of hosts, and nobody else's to read
    gc.disable()  # half a thousand modules, and all of them stay: there is no garbage to look for
    from ansible.cli.playbook import main as ansible_playbook  # noqa: PLC0415

    with suppress(ImportError, AttributeError):  # an Ansible that has changed is as slow as any
        from ansible.utils.collection_loader import _collection_finder as finder  # noqa: PLC0415

        # What became of its plugins is 370 kB of YAML. Ansible lets this be replaced, by a cache for example.
        finder._meta_yml_to_dict = remembered(finder._meta_yml_to_dict, cache())
    make_messages_inert()
    bound_tasks(umask=umask)
    gc.freeze()  # nor is there later, here or in a worker, which would have to copy what it looks at
    gc.enable()
    # The ssh connection looks beside it for what answers ssh's question for a password.
    sys.argv[0] = shutil.which("ansible-playbook") or "ansible-playbook"
    try:
        ansible_playbook()
    finally:
        gc.freeze()  # a process that ends needs no cycles looked for


def make_messages_inert() -> None:
    """Have everything that Ansible prints pass through ``inert``, except for its events.

    ansible-runner reads the events of Ansible's callbacks out of the same stream, as escape sequences. A host
    whose error message contained some would report on other hosts, or end the run.
    """
    from ansible.utils.display import Display  # noqa: PLC0415

    display = Display.display

    @wraps(display)  # ansible-runner's callback looks at its signature
    def inertly(self: Any, msg: Any, *arguments: Any, **options: Any) -> None:
        display(self, inert(msg) if isinstance(msg, str) else msg, *arguments, **options)

    Display.display = inertly


def inert(text: str) -> str:
    """The text with visible escapes for what acts on a terminal, and no line that asks for a password."""
    return _PROMPT.sub("> ", text.replace("\r\n", "\n").translate(_ACTING))


def bound_tasks(*, umask: int) -> None:
    """Have every task that reaches a host keep to limits; the workers that Ansible forks inherit that.

    Args:
        umask: for modules; on this machine they write what others have to read, such as lists of packages.
    """
    from ansible.plugins.loader import action_loader  # noqa: PLC0415

    get = action_loader.get

    def bounded(name: str, *arguments: Any, **options: Any) -> Any:
        action = get(name, *arguments, **options)
        limits = importlib.import_module(_LIMITS)  # when Ansible has begun to look for collections
        if action is not None and not isinstance(action, type) and name.rpartition(".")[2] not in _LOCAL:
            limits.hold(action)
            if not getattr(action, "KEEPS_LIMITS", False):
                os.umask(umask)  # this is the worker
        return action

    action_loader.get = bounded


def remembered(parse: Parse, file: Path) -> Parse:
    """A parser of YAML that parses Ansible's own table once, and then remembers what it is.

    Args:
        parse: the parser; gets a text and what Ansible calls it.
        file: where it is remembered. What somebody else could have written is not believed.
    """

    def parsed(text: Any, name: Any) -> Mapping[str, Any]:
        if name != _TABLE or not isinstance(text, bytes):
            return parse(text, name)
        digest = sha256(text).hexdigest()
        with suppress(OSError, ValueError, TypeError, LookupError, RecursionError):
            known = json.loads(_own(file))
            if known["of"] == digest and known["is"]:
                return dict(known["is"])
        found = parse(text, name)
        with suppress(OSError, ValueError, TypeError):
            _write(file, json.dumps({"of": digest, "is": found}))
        return found

    return parsed


def cache() -> Path:
    """Where it is remembered; no path that can be written to where the user has no home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not Path(base).is_absolute():  # then it does not count, says its specification
        base = os.path.expanduser("~/.cache")  # noqa: PTH111 - pathlib's raises
    return Path(base if Path(base).is_absolute() else os.devnull, "hardener", "ansible-plugins.json")


def _own(path: Path) -> str:
    """Text of a file of this user.

    Raises:
        OSError: there is none, or it is not theirs alone.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), encoding="ascii") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise PermissionError
        return file.read()


def _write(path: Path, text: str) -> None:
    """Write a file of this user, whole or not at all, in a folder that is theirs.

    Raises:
        OSError: it cannot be written.
    """
    present = next(folder for folder in path.parents if os.path.lexists(folder))
    if present.lstat().st_uid != os.geteuid():  # sudo can leave a user's home to root
        raise PermissionError
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=".")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    main()
