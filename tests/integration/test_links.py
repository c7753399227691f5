"""A link that a user has put among the engine's files, and the real loader at its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins.loading import COLLECTIONS
from tests.unit.plugins.module_utils.render.rendering import documents_of
from tests.unit.snapshots import make

EVE = 4711
ENGINES = Path("/etc/docker")
CERTIFICATES = "/etc/docker/certs.d"
THEIRS = f"{CERTIFICATES}/reg.example:5000"
LOADER = Path("/lib64/ld-linux-x86-64.so.2")
DRIVER = """
import json, os, subprocess, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.hardener.docker.plugins.module_utils.converge import main
from ansible_collections.hardener.docker.plugins.module_utils.snapshot.filestat import Files
main.FOLDER, loader, certificates = sys.argv[2:5]
files = Files()
files.add_tree(certificates)
files.add("/etc/docker/daemon.json")
document = json.load(sys.stdin)
done = main.converge({"documents": [document]}) if document else {}
try:
    runs = subprocess.run(["/bin/sh", "-c", "/bin/true"]).returncode == 0
except OSError:
    runs = False
mode = os.stat(loader).st_mode & 0o7777
owners = {path: os.lstat(path).st_uid for path, record in files.records.items() if record}
print(json.dumps({"done": done, "runs": runs, "mode": mode, "files": files.records, "owners": owners}))
"""
# A copy of the loader lies over the real one, and another /etc/docker over this machine's, for this process
# and its children alone. The shell of the last line is replaced before anything else could need the loader.
ASIDE = """
set -e
cp --preserve=mode "$1" "$2/loader"
mount --bind "$2/loader" "$1"
mount -t tmpfs -o mode=755 none /etc/docker
mkdir -p "$4"
echo certificate > "$4/client.cert"
ln -s "$3" "$4/ca.crt"
chown -hR 4711:4711 "$4"
shift 4
exec "$@"
"""
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Converge a document in a mount namespace of its own; without one, only look."""
    if os.geteuid() != 0:
        pytest.fail("only root may mount", pytrace=False)
    if not LOADER.exists():
        pytest.skip("this machine has another loader")
    loader = str(LOADER.resolve())
    there = ENGINES.exists()
    ENGINES.mkdir(exist_ok=True)

    def run(document: dict[str, Any] | None = None) -> dict[str, Any]:
        command = [
            *("unshare", "--mount", "--propagation=private", "sh", "-c", ASIDE, "aside"),
            *(loader, str(tmp_path), str(LOADER), THEIRS),
            *(
                sys.executable,
                "-c",
                DRIVER,
                str(COLLECTIONS),
                f"{tmp_path}/hardener",
                loader,
                CERTIFICATES,
            ),
        ]
        done = subprocess.run(
            command,
            input=json.dumps(document),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    yield run
    if not there:
        ENGINES.rmdir()


def attributes(path: str) -> dict[str, Any]:
    resource = {"kind": "attributes", "path": path, "owner": "root", "group": "root", "at_most": "0444"}
    return {"name": "docker_files_enforce", "impact": "none", "resources": [resource]}


def test_certificate_folders_get_root_as_owner_and_targets_of_users_links_are_not_changed(run: Run) -> None:
    """From what the collector sees on this host to what is changed there."""
    seen = run()["files"]
    assert seen[f"{THEIRS}/ca.crt"]["target"] == str(LOADER.resolve())
    (document,) = documents_of("docker_files")(make(files=seen).raw, enforce=True)
    document["resources"] = [each for each in document["resources"] if CERTIFICATES in each["path"]]
    document["activations"] = []
    found = run(document)
    assert (found["done"]["outcome"], found["mode"], found["runs"]) == ("changed", 0o755, True)
    assert sorted(each["path"] for each in found["done"]["changes"]) == [THEIRS, f"{THEIRS}/client.cert"]
    assert found["owners"] == {**found["owners"], THEIRS: 0, f"{THEIRS}/client.cert": 0}
    (note,) = found["done"]["notes"]
    assert f"no role can repair this here: {THEIRS}/ca.crt: this symbolic link belongs to uid {EVE}" in note


def test_a_document_that_changes_a_users_symbolic_link_is_refused(run: Run) -> None:
    found = run(attributes(f"{THEIRS}/ca.crt"))
    assert (found["done"]["outcome"], found["mode"], found["runs"]) == ("refused", 0o755, True)
    assert f"{THEIRS}/ca.crt: this symbolic link belongs to uid {EVE}" in found["done"]["reason"]


def test_a_run_that_breaks_the_dynamic_loader_is_rolled_back_without_starting_programs(run: Run) -> None:
    """Its documents cost nothing, so that no guard was armed."""
    found = run(attributes(str(LOADER)))
    assert (found["done"]["outcome"], found["mode"], found["runs"]) == ("rolled_back", 0o755, True)
    assert "this host no longer runs programs (/bin/sh)" in found["done"]["reason"]
