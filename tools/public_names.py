"""List the public names, one on each line: of the command line, roles, controls and reports.

``python -m tools.public_names ROOT`` lists those of a tree. ``tests/fixtures/names-0.1.0.txt`` was made so
from the tree of 0.1.0 (``PYTHONPATH=ROOT python tools/public_names.py ROOT``); its lines ``path`` are what
the roles of 0.1.0 wrote on hosts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import yaml

_SCHEMAS = ("assessment", "notification", "snapshot")


def names(root: Path) -> set[str]:
    """Return the public names of a source tree, whose package ``hardener`` must be the imported one."""
    return {*_verbs(), *_roles(root), *_controls(root), *_fields(root)}


def _verbs() -> Iterator[str]:
    main = import_module("hardener.cli").main
    yield from _command(main, "hardener")
    for code in import_module("hardener.errors").ExitCode:
        yield f"exit code {code.name} {code.value}"


def _command(command: click.Command, name: str) -> Iterator[str]:
    yield f"verb {name}"
    for parameter in command.params:
        for spelling in (*parameter.opts, *parameter.secondary_opts):
            if isinstance(parameter, click.Option):
                yield f"option {name} {spelling}"
            if isinstance(parameter.type, click.Choice):
                yield from (f"choice {name} {spelling} {value}" for value in parameter.type.choices)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for each in command.list_commands(context):
            if below := command.get_command(context, each):
                yield from _command(below, f"{name} {each}")


def _roles(root: Path) -> Iterator[str]:
    for path in sorted(root.glob("roles/*/defaults/main.yml")):
        role = path.parts[-3]
        yield f"role {role}"
        yield from (f"variable {role} {name}" for name in yaml.safe_load(path.read_text()) or ())
    for path in sorted(root.glob("roles/*/meta/argument_specs.yml")):
        for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
            for name, option in (entry.get("options") or {}).items():
                for value in option.get("choices") or ():
                    yield f"choice {name} {value}"
    yield from (f"playbook {path.stem}" for path in root.glob("playbooks/*.yml"))


def _controls(root: Path) -> Iterator[str]:
    for path in root.glob("hardener/catalogue/controls/*.yaml"):
        yield from (f"control {slug}" for slug in yaml.safe_load(path.read_text()))


def _fields(root: Path) -> Iterator[str]:
    for name in _SCHEMAS:
        schema = json.loads((root / f"hardener/{name}.schema.json").read_text())
        yield from (f"field {name} {path}" for path in _paths(schema, schema.get("$defs", {}), ""))


def _paths(schema: Mapping[str, Any], known: Mapping[str, Any], path: str) -> Iterator[str]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        without = {
            key: value for key, value in known.items() if key != name
        }  # one that holds itself ends here
        if name in known:
            yield from _paths(known[name], without, path)
    for kind in ("anyOf", "oneOf", "allOf"):
        for each in schema.get(kind, ()):
            yield from _paths(each, known, path)
    for key, each in schema.get("properties", {}).items():
        yield f"{path}.{key}"
        yield from _paths(each, known, f"{path}.{key}")
    others = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
    for each in others:
        if isinstance(each, dict):
            yield from _paths(each, known, f"{path}.*")
    if isinstance(schema.get("items"), dict):
        yield from _paths(schema["items"], known, f"{path}[]")


if __name__ == "__main__":
    print(*sorted(names(Path(sys.argv[1]))), sep="\n")
