"""A folder that stands for a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.converge import (
    documents,
    files,
)
from ansible_collections.hardener.docker.plugins.module_utils.converge.activations import KINDS
from ansible_collections.hardener.docker.plugins.module_utils.converge.backup import Store
from ansible_collections.hardener.docker.plugins.module_utils.converge.planning import Plan
from ansible_collections.hardener.docker.plugins.module_utils.converge.transaction import Transaction


class Host:
    """A folder that stands for the host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = Store(str(folder / "hardener"))
        self.bookkeeping = folder / "ownership.json"

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    def write(self, name: str, content: str) -> None:
        (self.folder / name).write_text(content)

    # --- planning alone -------------------------------------------------------------------------------------

    def plan(self, *resources: dict[str, Any], name: str = "a") -> Plan:
        return self.plan_all({"name": name, "resources": list(resources)})

    def plan_all(self, *raw: dict[str, Any]) -> Plan:
        request = documents.parse({"documents": list(raw)}, tuple(KINDS))
        return Plan(request.documents, bookkeeping_file=str(self.bookkeeping), read=files.read)

    def apply(self, plan: Plan) -> None:
        for change in plan.all_changes:
            files.put(change.path, change.before, change.after)

    # --- the whole transaction ------------------------------------------------------------------------------

    def converge(
        self,
        *resources: dict[str, Any],
        activations: list[dict[str, Any]] | None = None,
        **request: Any,
    ) -> dict[str, Any]:
        document = {"name": "a", "resources": list(resources), "activations": activations or []}
        return self.converge_all(document, **request)

    def converge_all(self, *raw: dict[str, Any], **more: Any) -> dict[str, Any]:
        request = documents.parse({"documents": list(raw), **more}, tuple(KINDS))
        return Transaction(request, self.store).run()

    # --- resources ------------------------------------------------------------------------------------------

    def file(self, name: str, content: str, **fields: Any) -> dict[str, Any]:
        return {"kind": "file", "path": self.path(name), "content": content, **fields}

    def json(self, name: str, keys: dict[str, Any], **fields: Any) -> dict[str, Any]:
        return {"kind": "json", "path": self.path(name), "keys": keys, **fields}
