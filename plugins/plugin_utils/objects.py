"""Run the on-host program of recordings and proofs, with the BPF objects that it needs."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from functools import partial
from typing import Any

from ansible.errors import AnsibleActionFail

from ..module_utils.contract import LONGEST_TWINS
from .host_script import PACKAGES, HostScriptAction, host_of
from .ssh_command import ssh_command

SOURCE = PACKAGES / "record"
_LIMIT = 1560  # seconds on the host for a stage, beside the command that it runs in a twin
_RUN_A_COMMAND = frozenset({"fill", "end", "attempt"})  # stages that run it, for no longer than `seconds`


def objects(*names: str) -> dict[str, str]:
    """Return the BPF objects by file name, in base64.

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
        reached = {"ssh": ssh_command(self._connection)} if args.pop("forward", False) else {}
        seconds = args["seconds"]
        if not 1 <= seconds <= LONGEST_TWINS:
            raise AnsibleActionFail(f"seconds is {seconds}: it must be from 1 to {LONGEST_TWINS}")
        if stage == "begin":
            args |= {"objects": objects(*needs), "limited": True}
        answer = self.run_script(
            SOURCE,
            entry=f"{program}:{stage}",
            arguments=args,
            timeout=_LIMIT + (seconds if stage in _RUN_A_COMMAND else 0),
            task_vars=task_vars,
            told=partial(self.step, task_vars),
        )
        result = told(stage, answer.result)
        self.see_it_fits(result)
        return {
            "changed": False,
            "inventory_host": host_of(task_vars),
            "ansible_facts": answer.facts,
            **result,
            **reached,
        }
