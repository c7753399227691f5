"""Nothing installs hardener by a name on a public index, and every form of such a line is found."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from tools.install_lines import by_name, tracked

ROOT = Path(__file__).parents[3]
HASH = "0123456789abcdef" * 4
WHEEL = "https://example.org/hardener-0.2.0-py3-none-any.whl"


def found(text: str, file: str = "x.md") -> list[tuple[int, str]]:
    return list(by_name(text, file=file))


def test_no_file_of_the_repository_installs_a_name_that_is_not_ours() -> None:
    files = dict(tracked(ROOT))
    assert {"README.md", "SECURITY.md", "contrib/github/action.yml", "docs/guides/ci.md", "Makefile"} <= set(
        files
    )
    assert {"hardener/cli/__init__.py", "plugins/modules/converge.py", ".pre-commit-hooks.yaml"} <= set(files)
    assert {name: hits for name, text in files.items() if (hits := found(text, name))} == {}


COMMANDS = [
    "pip install",
    "pip3 install -U",
    "pip3.13 --quiet install --upgrade --no-cache-dir",
    "python -m pip install --user",
    "python3 -m pip install --require-hashes --index-url https://index.example.org/simple",
    ".venv/bin/pip install",
    '"$HOME/venv/bin/pip" install',
    "sudo pip download -d wheels",
    "pip wheel",
    "pipx install --force",
    "pipx run",
    "pipx run --spec",
    "uv pip install --system",
    "uv tool install",
    "uv tool run",
    "uv tool run --python 3.13",
    "uv add --dev",
    "uv run --with",
    "uvx",
    "uvx --from",
    "poetry add --group dev",
    "pdm add",
    "pipenv install",
    "conda install -y",
    "easy_install",
]
PACKAGES = [
    "hardener",
    "Hardener",
    '"hardener"',
    "'hardener[junit]'",
    "hardener==0.2.0",
    '"hardener>=0.2,<1"',
    "hardener~=0.2",
    '"hardener==$VERSION"',
    '"hardener==${{ inputs.version }}"',
    "hardener@latest",
    WHEEL,
    f'"hardener @ {WHEEL}"',
    f'"hardener @ {WHEEL}#sha256="',
    "git+https://example.org/hardener.git@v0.2.0",
]
PLACES = [
    "{}\n",
    "    - {}\n",
    "RUN apt-get update && {} && rm -rf /var/lib/apt\n",
    "sh '''\n  {}\n'''\n",
    "Run `{}` first.\n",
    "$ {}   # as root\n",
    'click.echo("not found: {}")\n',
]


@pytest.mark.parametrize(("command", "package"), [*product(COMMANDS, PACKAGES)])
def test_an_installation_by_name_or_without_a_hash_is_found(command: str, package: str) -> None:
    for place in PLACES:
        text = f"first\n{place}".format(f"{command} {package}")
        assert found(text), text
    broken = f"first\n{command} \\\n    {package} \\\n    rich\n"
    assert {line for line, _ in found(broken)} == {2}, broken


GALAXY = ["hardener.docker", "hardener.docker:0.2.0", "'hardener.docker:>=0.2'", "hardener.docker==0.2.0"]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *product(
            [
                "ansible-galaxy collection install",
                "ansible-galaxy collection install -U -p collections",
                "ansible-galaxy collection download",
            ],
            GALAXY,
        )
    ],
)
def test_an_installation_of_the_collection_by_name_is_found(command: str, name: str) -> None:
    for place in PLACES:
        assert found(place.format(f"{command} community.docker {name}"))


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ('run(["pip", "install", "--quiet", "hardener"])', "x.py"),
        ('run([\n    sys.executable,\n    "-m",\n    "pip",\n    "install",\n    "hardener",\n])', "x.py"),
        ('raise Error(\n    "a module is missing: pip install "\n    "\'hardener[sign]\'"\n)', "x.py"),
        ("argv: [pip, install, hardener]", "x.yml"),
        ("argv:\n  - pip\n  - install\n  - -U\n  - hardener\n", "x.yml"),
        ("- ansible.builtin.pip:\n    virtualenv: /srv/venv\n    name: hardener\n", "x.yml"),
        ("- pip:\n    name: hardener==0.2.0\n", "x.yml"),
        ("- pip: { name: hardener }\n", "x.yml"),
        ("- pip: name=hardener state=latest\n", "x.yml"),
        ("- pip:\n    name:\n      - rich\n      - hardener\n", "x.yml"),
        ("dependencies:\n  python:\n    - hardener==0.2.0\n", "execution-environment.yml"),
        (
            "dependencies:\n  python:\n    - ansible-runner\n    - hardener # ours\n",
            "execution-environment.yml",
        ),
        (f"dependencies:\n  python:\n    - hardener @ {WHEEL}\n", "execution-environment.yml"),
        ("rich\nhardener\n", "requirements.txt"),
        ("rich\nhardener[all]  # ours\n", "ci/requirements-dev.in"),
        ("rich==13\nhardener==0.2.0 \\\n    --hash=sha256:00\n", "requirements.txt"),
        ("hardener>=0.2 ; python_version > '3.10'\n", "constraints.txt"),
        ("cat >requirements.txt <<END\nrich\nhardener\nEND\n", "x.sh"),
        ("echo hardener >> requirements.txt\n", "x.sh"),
        ('[tool.poetry.dependencies]\nhardener = "^0.2"\n', "pyproject.toml"),
        ('hardener = { version = "0.2" }\n', "pyproject.toml"),
        ('dependencies = [\n  "hardener>=0.2",\n]\n', "pyproject.toml"),
        ("collections:\n  - hardener.docker\n", "requirements.yml"),
        ("collections:\n  - name: hardener.docker\n    version: 0.2.0\n", "requirements.yml"),
        ("dependencies:\n  hardener.docker: '>=0.2.0'\n", "galaxy.yml"),
    ],
)
def test_requirements_without_a_command_are_found(text: str, file: str) -> None:
    assert found(text, file), text


@pytest.mark.parametrize(
    "text",
    [
        "pipx install .",
        "pipx install ./hardener-0.2.0-py3-none-any.whl",
        "pip install dist/hardener-0.2.0-py3-none-any.whl && hardener --version",
        "pip install .; hardener audit -i localhost,",
        "`pip install .` installs hardener",
        "pip install -e '.[dev]' # hardener from the clone",
        "script:\n  - pip install .\n  - hardener audit\n",
        'commands = ["pip install .", "hardener audit"]',
        'commands = [\n    "pip install .",\n    "hardener audit",\n]',
        "uvx --from ./hardener-0.2.0-py3-none-any.whl hardener audit",
        f"pipx run --spec 'hardener @ {WHEEL}#sha256={HASH}' hardener audit",
        "uv run hardener audit",
        "pipx uninstall hardener",
        "pip show hardener",
        "pipx inject hardener rich",
        f'pip install "hardener @ {WHEEL}#sha256={HASH}"',
        f"pipx install {WHEEL}#sha256={HASH}",
        'pip install "hardener @ ${HARDENER_WHEEL:?}#sha256=${HARDENER_SHA256:?}"',
        f"pip install git+https://example.org/hardener@{HASH[:40]}",
        f"dependencies:\n  python:\n    - hardener @ {WHEEL}#sha256={HASH}\n",
        "ansible-galaxy collection install dist/hardener-docker-0.2.0.tar.gz",
        "collections:\n  - name: hardener-docker-0.2.0.tar.gz\n    type: file\n",
        "- role: hardener.docker.kernel",
        "- ansible.builtin.include_role:\n    name: hardener.docker.kernel\n",
        '[project.scripts]\nhardener = "hardener.__main__:main"\n',
        "tags:\n  - docker\n  - hardener\n",
        "pip install ansible-hardener hardener-extras",
    ],
)
def test_an_installation_from_a_file_or_with_a_hash_is_accepted(text: str) -> None:
    assert found(text) == []
