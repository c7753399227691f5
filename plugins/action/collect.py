"""Collect the facts of a host in one round trip.

Nothing changes on the host; on the controller only the requested file is written. A snapshot can have several
megabytes, so it goes to that file and not into Ansible's result.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ansible.errors import AnsibleActionFail

from ..module_utils.contract import COLLECT_LIMIT, beside
from ..plugin_utils import specification
from ..plugin_utils.files import write
from ..plugin_utils.host_script import PACKAGES, HostScriptAction, host_of, prepared
from ..plugin_utils.wishes import roles_of_site

_PROGRAM = PACKAGES / "snapshot"
prepared(_PROGRAM)
# The variables that are used where an argument is not given. Ansible compiles each template of a task anew
# for every host, which takes a tenth of the controller's time for a host.
_VARIABLES = {
    "dest": "collect_dest",
    "policy": "hardener_policy",
    "socket": "collect_socket",
    "wishes": "collect_wishes",
}
_NAME_MAX = 200
_BEGINNING = b'{"schema":"hardener/snapshot/'
_OF_A_CONTAINER = frozenset(
    {"Id", "Name", "State", "HostConfig", "NetworkSettings", "Mounts", "AppArmorProfile", "Image"}
)
_COMPOSE = "com.docker.compose."  # begins the labels that tell the service of a container

_ARGUMENTS = specification.documented(__name__)


class ActionModule(HostScriptAction):
    """The action; plugins/modules/collect.py documents it."""

    _VALID_ARGS = frozenset(_ARGUMENTS)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Collect the facts, store them, and return what the play needs."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        self._task.args = {**self._from_variables(variables), **self._task.args}
        _checked, args = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        specification.warn_renamed_role(self._task._role)
        answer = self.run_script(
            _PROGRAM,
            entry="main:collect",
            arguments={"socket": args["socket"], "limit": COLLECT_LIMIT},
            timeout=COLLECT_LIMIT,
            task_vars=task_vars,
            repeatable=True,
            parsed=bool(args["facts"]),  # whatever judges the file parses it
        )
        if not answer.encoded.startswith(_BEGINNING) or not answer.encoded.endswith(b"}"):
            raise AnsibleActionFail("the host gave no snapshot")
        host = host_of(variables)
        # The controller sets these fields, whatever the host reports: waivers are matched by them.
        known = {
            "host": host,
            "policy": args["policy"],
            "inventory_groups": sorted(map(str, variables.get("group_names", ()))),
        }
        result: dict[str, Any] = {
            "changed": False,
            "inventory_host": host,
            "ansible_facts": dict(answer.facts),
        }
        if args["wishes"]:
            result["wishes"] = roles_of_site(variables)
        if args["dest"]:
            stored = _store(beside(answer.encoded, known), Path(args["dest"]).expanduser(), host)
            result["snapshot"] = str(stored)
        if args["facts"]:
            snapshot = {**answer.result, **known} if isinstance(answer.result, dict) else known
            sources = snapshot.get("sources")
            if not isinstance(sources, dict):
                raise AnsibleActionFail("the host gave no snapshot")
            unknown = sorted(set(args["facts"]) - set(sources))
            if unknown:
                raise AnsibleActionFail(f"these are not sources of a snapshot: {', '.join(unknown)}")
            try:
                kept = {name: _without_large_parts(name, sources[name]) for name in args["facts"]}
            except (AttributeError, LookupError, TypeError) as error:
                raise AnsibleActionFail(f"the host's answer is not a snapshot: {error!r}") from None
            facts = {**snapshot, "sources": kept}
            self.see_it_fits(facts, told=False)
            result["facts"] = facts
        return result

    def _from_variables(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments that only variables of the play set, without empty values."""
        return {
            name: value
            for name, variable in _VARIABLES.items()
            if name not in self._task.args
            and variable in variables
            and (value := self._templar.template(variables[variable]))
        }


def _without_large_parts(name: str, source: dict[str, Any]) -> dict[str, Any]:
    """Return a source without large parts that no role needs; a host can have hundreds of containers."""
    if name != "docker.containers" or source.get("state") != "ok":
        return source
    containers = [
        {
            "inspect": {
                **{key: value for key, value in each["inspect"].items() if key in _OF_A_CONTAINER},
                "Config": {"Labels": _compose_labels(each["inspect"])},
            },
            "proc": each["proc"],
            **({"error": str(each["error"])} if each.get("error") else {}),
        }
        for each in source["data"]
    ]
    return {**source, "data": containers}


def _compose_labels(inspect: Mapping[str, Any]) -> dict[str, Any]:
    labels = (inspect.get("Config") or {}).get("Labels") or {}
    return {key: value for key, value in labels.items() if key.startswith(_COMPOSE)}


def _store(snapshot: bytes, folder: Path, host: str) -> Path:
    """Write the snapshot atomically, readable only by its owner.

    Raises:
        AnsibleActionFail: it cannot be written.
    """
    path = folder / file_name(host)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(path, snapshot)
    except OSError as error:
        # `from error` would make Ansible print the message twice
        raise AnsibleActionFail(f"cannot write the snapshot {path}: {error.strerror}") from None
    return path


def file_name(host: str) -> str:
    """Return the name of a host's snapshot file: its inventory name, percent-encoded, with ``.json``.

    Two hosts never share a file; ``urllib.parse.unquote`` of the part before ``.json`` restores the name.
    """
    name = quote(host, safe="@+:, ", errors="surrogatepass")
    # A leading dot would hide the file, or make the name `.` or `..`.
    name = f"%2E{name[1:]}" if name.startswith(".") else name
    if len(name) > _NAME_MAX:
        raise AnsibleActionFail(f"the host name {host[:40]!r}… is too long for a file name")
    return f"{name or '%00'}.json"
