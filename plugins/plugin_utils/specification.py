"""Read the argument specification of a role or an action, validate values, and warn of a role's old name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display

# Its variables apply to every role with a document.
_SHARED = Path(__file__).parents[2] / "roles" / "converge"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # written in C, if PyYAML has it
_MEANT: dict[str, tuple[type | tuple[type, ...], str]] = {
    "bool": (bool, "true or false"),
    "int": (int, "a number"),
    "list": ((list, tuple), "a list"),
    "dict": (Mapping, "a mapping"),
}
_SHOWN = ("bool", "int")  # values of other types may be secret
_MAX_SHOWN = 40


def variables(role: Path) -> Mapping[str, Any]:
    """Return the variables of a role, by their names, from its argument specification.

    Raises:
        AnsibleActionFail: the role has none.
    """
    file = role / "meta" / "argument_specs.yml"
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise AnsibleActionFail(
            f"{file}, the role's argument specification, cannot be read: {error}"
        ) from None
    options: Mapping[str, Any] = yaml.load(text, Loader=_LOADER)["argument_specs"]["main"]["options"]  # noqa: S506
    return options


def shared() -> Mapping[str, Any]:
    """Return the variables that every role with a document has."""
    return variables(_SHARED)


def documented(action: str) -> dict[str, dict[str, Any]]:
    """Return the argument specification of an action from its documentation in ``plugins/modules``.

    Args:
        action: the full name of its module.
    """
    collection, _, name = action.rpartition(".action.")
    text = import_module(f"{collection}.modules.{name}").DOCUMENTATION
    options = yaml.load(text, Loader=_LOADER)["options"]  # noqa: S506
    return {
        option: {key: value for key, value in each.items() if key != "description"}
        for option, each in options.items()
    }


def fault(name: str, option: Mapping[str, Any], value: Any) -> str:
    """Return the error in the value of a variable; empty if the value is as specified.

    Ansible validates a role's variables and does not convert them: an INI inventory or ``-e name=false``
    gives the text "false", which counts as true, and a list given as text has letters as elements.
    """
    kind = str(option.get("type"))
    if value is None or kind not in _MEANT:
        return ""
    wanted, called = _MEANT[kind]
    if isinstance(value, wanted) and not (kind == "int" and isinstance(value, bool)):
        return ""
    what = "a string" if isinstance(value, str) else f"of the type {type(value).__name__}"
    shown = f" ({str(value)[:_MAX_SHOWN]!r})" if kind in _SHOWN else ""
    return f"{name} must be {called}, but is {what}{shown}"


def warn_renamed_role(called: Any) -> None:
    """Warn if a play uses a role by its name of 0.1.0.

    Args:
        called: the role around a task, or None.
    """
    if called is not None and not called._role_collection:
        warn_renamed("role", called.get_name(include_role_fqcn=False))


def warn_renamed(kind: str, name: str) -> None:
    """Warn that a play uses a role or an action by its name of 0.1.0."""
    Display().warning(
        f"the {kind} {name} is called hardener.docker.{name} now: hardener 1.0 removes its old name"
    )
