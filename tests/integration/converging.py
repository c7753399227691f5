"""A folder that stands for a host, changed by real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ansible_collections.hardener.docker.plugins.plugin_utils import transaction

from tests.unit.plugins.loading import COLLECTIONS

# ``service`` is the command line of docker.service, on a host whose engine does not run.
DRIVER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.hardener.docker.plugins.module_utils.converge import guard, main
from ansible_collections.hardener.docker.plugins.module_utils.host import processes, units
main.FOLDER = sys.argv[2]
guard.possible = lambda: False  # a systemd of this machine is left alone
request = json.load(sys.stdin)
command = request.pop("service", None)
if command:
    unit = {"LoadState": "loaded", "ExecStart": [command], "EnvironmentFiles": [], "Listen": [], "MainPID": 0}
    units.read = lambda: {"docker.service": unit}
if command or not request.get("socket"):  # engines of other tests are none of this host's
    processes.scan = dict
print(json.dumps(main.converge(request)))
"""


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """Mount an empty file system in memory over a folder, which is made if need be."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


class Host:
    """A folder that stands for the host, changed by real processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "hardener"
        self.journal = self.state / "journal.json"
        self.answer = folder / "answer"
        self.files = folder / "etc"
        self.files.mkdir()

    def start(
        self, *resources: dict[str, Any], socket: object = "", **document: Any
    ) -> subprocess.Popen[str]:
        """Begin to converge one document, where ``socket`` is that of an engine."""
        wanted = {"name": "a", "resources": list(resources), **document}
        return self.begin({"documents": [wanted], "socket": str(socket)})

    def begin(self, request: dict[str, Any]) -> subprocess.Popen[str]:
        """Begin to converge."""
        with self.answer.open("w") as answer:
            process = subprocess.Popen(
                [sys.executable, "-c", DRIVER, str(COLLECTIONS), str(self.state)],
                stdin=subprocess.PIPE,
                stdout=answer,
                text=True,
                start_new_session=True,
                umask=0o077,  # as hardened hosts have it
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request))
            process.stdin.close()
        return process

    def converge(self, *resources: dict[str, Any], **document: Any) -> dict[str, Any]:
        """Converge and wait for the result."""
        self.start(*resources, **document).wait()
        return self.result()

    def converge_all(self, documents: Sequence[dict[str, Any]], **request: Any) -> dict[str, Any]:
        """Converge several documents and wait for the result."""
        self.begin({"documents": list(documents), **request}).wait()
        return self.result()

    def call(self, what: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Call another function of the transaction, such as ``rollback``."""
        program = DRIVER.replace("main.converge(", f"main.{what}(")
        command = [sys.executable, "-c", program, str(COLLECTIONS), str(self.state)]
        called = subprocess.run(
            command, input=json.dumps(arguments), capture_output=True, text=True, check=True
        )
        answer: dict[str, Any] = json.loads(called.stdout)
        return answer

    def result(self) -> dict[str, Any]:
        """What the control node makes of the answer: nothing of it is lost there."""
        result: dict[str, Any] = json.loads(self.answer.read_text())
        shaped = transaction._fitting_part(result, transaction._ANSWER)
        lost = {key: value for key, value in result.items() if shaped.get(key) != value}
        assert not lost, lost
        return result

    def file(self, name: str, content: str) -> dict[str, Any]:
        return {"kind": "file", "path": str(self.files / name), "content": content}
