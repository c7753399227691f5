"""Render the files that are generated from a role's argument specification; `make docs` writes them.

``meta/argument_specs.yml`` is the one place for a variable: its name, type, default and description. From
it come ``defaults/main.yml``, the table of variables in the role's README, below the line ``MARK``, and
the index of roles in the documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import dropwhile
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parents[1] / "roles"
INDEX = ROLES.parent / "docs" / "reference" / "roles" / "index.md"
MARK = "<!-- Generated from meta/argument_specs.yml: change it there, then `make docs`. -->"

_HEADING = (
    "# Generated from meta/argument_specs.yml: change it there, then `make docs`. README.md describes each.\n"
)
_CODE = re.compile(r"\b[CV]\(((?:[^()\\]|\\.)*)\)")
_LONGEST = 60  # characters of a default in the table


class _Dumper(yaml.SafeDumper):
    """Writes YAML in the style that yamllint requires."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    plain = re.fullmatch(r"[A-Za-z~][\w ./-]*", text) and yaml.safe_load(text) == text
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, None if plain else '"')


_Dumper.add_representer(str, _text)


def specifications(role: Path) -> Mapping[str, Any]:
    """Return the argument specifications of a role, by entry point."""
    text = (role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    found: Mapping[str, Any] = yaml.safe_load(text)["argument_specs"]
    return found


def defaults(role: Path) -> str:
    """Return the content of ``defaults/main.yml`` of a role."""
    options = specifications(role)["main"]["options"]
    values = {name: option["default"] for name, option in options.items() if "default" in option}
    return _HEADING + yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)


def readme(role: Path) -> str:
    """Return ``README.md`` of a role with its table of variables.

    Raises:
        ValueError: the file has no place for it.
    """
    path = role / "README.md"
    table = "".join(f"{line}\n" for line in _table(specifications(role)["main"]["options"]))
    before, mark, after = path.read_text(encoding="utf-8").partition(f"{MARK}\n")
    if not mark or MARK in after:
        raise ValueError(f"{path}: the line {MARK!r} must occur exactly once, above the table of variables")
    rest = dropwhile(lambda line: line.startswith("|"), after.splitlines(keepends=True))
    return "".join((before, mark, table, *rest))


def written() -> dict[Path, str]:
    """Return the content of every generated file, by path."""
    found = {}
    for specification in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        role = specification.parents[1]
        found[role / "defaults" / "main.yml"] = defaults(role)
        found[role / "README.md"] = readme(role)
    found[INDEX] = "".join(f"{line}\n" for line in _index())
    return found


def _index() -> Iterator[str]:
    yield from ("# Roles", "")
    yield from (
        "<!-- Generated from roles/*/meta/argument_specs.yml: change it there, then `make docs`. -->",
        "",
    )
    yield "Each role is a protection, or a step that protections need. `ansible-doc --type role"
    yield "hardener.docker.kernel` shows its variables too. [Use it from Ansible](../../guides/ansible.md)"
    yield "shows how to call a role."
    yield from ("", "| role | purpose | variables |", "| --- | --- | --- |")
    for specification in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        role = specification.parents[1]
        main = specifications(role)["main"]
        page = f"../../../roles/{role.name}/README.md"
        yield f"| [`{role.name}`]({page}) | {main['short_description']} | {len(main['options'])} |"


def _table(options: Mapping[str, Any]) -> Iterator[str]:
    yield "| variable | default | what it does |"
    yield "| --- | --- | --- |"
    for name, option in options.items():
        yield f"| `{name}` | {_default(option)} | {_described(option)} |"


def _default(option: Mapping[str, Any]) -> str:
    value = option.get("default")
    if value is None:
        return "not set"
    if value == "":
        return "empty"
    text = yaml.dump(value, default_flow_style=True, width=1000, sort_keys=False)
    text = value if isinstance(value, str) else text.removesuffix("...\n").strip()
    return f"`{text}`" if len(text) <= _LONGEST else "see [defaults/main.yml](defaults/main.yml)"


def _described(option: Mapping[str, Any]) -> str:
    said = option["description"]
    sentences = [said] if isinstance(said, str) else list(said)
    if option.get("choices"):
        sentences.append(f"One of {', '.join(f'C({choice})' for choice in option['choices'])}.")
    keys = ", ".join(_key(name, inner) for name, inner in option.get("options", {}).items())
    if keys:
        sentences.append(f"Keys: {keys}.")
    return _CODE.sub(r"`\1`", " ".join(sentences)).replace("|", r"\|")


def _key(name: str, option: Mapping[str, Any]) -> str:
    default = f" (C({option['default']}) by default)" if "default" in option else ""
    return f"C({name}){' (needed)' if option.get('required') else default}"
