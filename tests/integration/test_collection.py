"""The collection is found in a clone, an editable installation, a wheel, and a foreign project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.unit.plugins.loading import ROOT

ANSIBLE = Path(sys.executable).parent
# It fails where a play of ours runs it.
FOREIGN = "- name: Be another role of that name\n  ansible.builtin.fail: {msg: the foreign role ran}\n"
ROLE = """
- hosts: all
  gather_facts: false
  roles: [role: hardener.docker.kernel]
"""


def ansible(name: str, *arguments: str | Path, cwd: Path, **environment: str) -> str:
    """What a command of Ansible prints, without anything of a caller's configuration."""
    return finished(name, *arguments, cwd=cwd, **environment).stdout


def finished(
    name: str, *arguments: str | Path, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A command of Ansible that has succeeded."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    done = subprocess.run(
        [ANSIBLE / name, *arguments],
        cwd=cwd,
        env={**inherited, "ANSIBLE_NOCOLOR": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def audited(*arguments: str | Path, cwd: Path, **environment: str) -> Path:
    """Audit this machine; return the folder of the collection that did it."""
    snapshots = cwd / "snapshots"
    options = ("--inventory=localhost,", "--connection=local", f"--extra-vars=collect_dest={snapshots}")
    ansible("ansible-playbook", *options, *arguments, cwd=cwd, **environment)
    assert json.loads((snapshots / "localhost.json").read_text())["sources"]["system"]["state"] == "ok"
    listed = ("--list_files", "--type=module", "hardener.docker")
    modules = ansible("ansible-doc", *listed, cwd=cwd, **environment).splitlines()
    file = next(line.split()[1] for line in modules if line.startswith("hardener.docker.collect "))
    return Path(file.partition("/plugins/")[0])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    ansible("ansible-galaxy", "collection", "build", "--output-path", folder, cwd=ROOT)
    (found,) = folder.iterdir()
    return found


@pytest.fixture(scope="module")
def project(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of others, with the collection and a role that has the name of one of ours."""
    folder = tmp_path_factory.mktemp("project")
    tasks = folder / "roles" / "converge" / "tasks"
    tasks.mkdir(parents=True)
    (tasks / "main.yml").write_text(FOREIGN)
    for file in ("main", "documents", "facts", "packages"):
        (tasks / f"{file}.yml").write_text(FOREIGN)
    (folder / "ansible.cfg").write_text("[defaults]\ncollections_path = collections\nroles_path = roles\n")
    # What Python has installed counts as installed already.
    install = ("collection", "install", "--force", "--offline", "-p", "collections", archive)
    ansible("ansible-galaxy", *install, cwd=folder)
    return folder


def test_the_archive_contains_only_what_ansible_needs(archive: Path) -> None:
    with tarfile.open(archive) as packed:
        members = packed.getmembers()
    assert not [member.name for member in members if member.issym() or member.islnk()]
    names = {member.name.partition("/")[0] for member in members}
    assert {"MANIFEST.json", "FILES.json", "meta", "playbooks", "plugins", "roles"} <= names
    assert not names & {
        "hardener",
        "tests",
        "docs",
        "molecule",
        "bench",
        "tools",
        "inventories",
        ".collections",
    }
    assert not [member.name for member in members if "__pycache__" in member.name]


def test_a_project_that_has_a_role_of_the_same_name_runs_the_audit(project: Path) -> None:
    assert audited("hardener.docker.audit", cwd=project).is_relative_to(project)


def test_one_role_runs_from_another_project(project: Path) -> None:
    (project / "play.yml").write_text(ROLE)
    options = ("--inventory=localhost,", "--connection=local", "--check", "--diff")
    said = ansible("ansible-playbook", *options, "play.yml", cwd=project)
    assert "TASK [hardener.docker.converge : Apply the documents]" in said


def test_a_clone_audits_with_its_own_collection(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    assert (
        audited("playbooks/audit.yml", cwd=clone)
        == clone / ".collections/ansible_collections/hardener/docker"
    )


FORMER = """
- hosts: all
  gather_facts: false
  vars: {converge_defer: true}
  roles: [converge, collect, docker_files]
  tasks:
    - converge: {documents: "{{ converge_pending }}"}
"""


def test_a_play_of_0_1_0_runs_with_warnings_about_new_names(tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(FORMER)
    options = ("--inventory=localhost,", "--connection=local", "--check")
    done = finished("ansible-playbook", *options, tmp_path / "play.yml", cwd=ROOT)
    words = " ".join(done.stderr.split())
    for name in ("role collect", "role docker_files", "action converge"):
        assert f"the {name} is called hardener.docker.{name.partition(' ')[2]} now" in words


def test_the_collection_of_an_editable_installation_is_found_from_any_folder(tmp_path: Path) -> None:
    found = audited("hardener.docker.audit", cwd=tmp_path, ANSIBLE_HOME=str(tmp_path / "home"))
    assert found.resolve() == ROOT
