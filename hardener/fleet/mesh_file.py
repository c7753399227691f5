"""Read the connection settings of a Receptor mesh from the file of ``--mesh`` (docs/guides/slices.md).

socket: /run/receptor/receptor.sock   # the control socket of the node on this machine
work_type: ansible-runner             # what runs `ansible-runner worker` there
nodes: [exec1, exec2]                 # by default every node that offers this work
tls_client: client                    # a tls-client of the node on this machine, where the others require it
lease: 60                             # seconds without a sign of life after which a slice is lost
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from hardener.decisions.document import DocumentError, read
from hardener.decisions.entries import validated
from hardener.errors import HardenerError

# They are words of Receptor's control protocol.
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,252}$")]


class MeshFile(BaseModel):
    """The connection settings of a mesh."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, frozen=True)

    socket: Annotated[str, Field(min_length=1, max_length=1000)] = "/run/receptor/receptor.sock"
    work_type: _Name = "ansible-runner"
    nodes: tuple[_Name, ...] = ()
    tls_client: _Name | None = None
    lease: Annotated[int, Field(ge=10, le=3600)] = 60

    @model_validator(mode="after")
    def _nodes_are_named_once(self) -> MeshFile:
        if len(set(self.nodes)) < len(self.nodes):
            raise ValueError("the list names a node twice")
        return self


def mesh_file(path: Path) -> MeshFile:
    """Read the settings of a mesh from a file.

    Raises:
        HardenerError: it cannot be read, or does not describe a mesh.
    """
    try:
        return validated(read(path), MeshFile, context={})
    except DocumentError as error:
        more = len(error.problems) - 1
        raise HardenerError(error.problems[0].at(path), hint=f"and {more} more" if more else "") from None
