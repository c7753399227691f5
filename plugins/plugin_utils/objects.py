"""Run the on-host program of recordings and proofs, with the BPF objects that it needs."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleActionFail

from .host_script import PACKAGES, HostScriptAction

SOURCE = PACKAGES / "record"
_LONGEST = 24 * 3600  # seconds
_LIMIT = 660  # seconds on the host for one trial, or for the phases before or after an exercise


def objects(*names: str) -> dict[str, str]:
    """Return objects in base64 by their file names.

    Args:
        names: prefixes of the wanted names.
    """
    return {
        path.name: b64encode(path.read_bytes()).decode()
        for path in sorted(SOURCE.glob("bpf/*.bpf.o"))
        if path.name.startswith(names)
    }


class TwinAction(HostScriptAction):
    """An action that runs a stage of a recording or of a proof on the host."""

    def stage(
        self,
        program: str,
        args: dict[str, Any],
        *,
        needs: tuple[str, ...],
        told: Callable[[str, Any], dict[str, Any]],
        task_vars: dict[str, Any] | None,
    ) -> dict[str, Any]:
        """Run the stage that the arguments name, and return the action's result.

        Args:
            program: the module on the host, with one function per stage.
            args: the action's arguments.
            needs: name prefixes of the BPF objects for the stage `begin`.
            told: reduces an answer to the expected fields.
            task_vars: the task's variables.

        Raises:
            AnsibleActionFail: the time is out of bounds, or the host gave no answer.
        """
        stage = args.pop("stage")
        if stage == "begin":
            if not 1 <= args["seconds"] <= _LONGEST:
                raise AnsibleActionFail(f"seconds is {args['seconds']}: it must be from 1 to {_LONGEST}")
            args |= {"objects": objects(*needs), "limited": True}
        answer = self.run_script(
            SOURCE, entry=f"{program}:{stage}", arguments=args, timeout=_LIMIT, task_vars=task_vars
        )
        result = told(stage, answer.result)
        self.see_it_fits(result)
        return {"changed": False, "ansible_facts": answer.facts, **result}
