"""Run a package of this collection's library on a host: one round trip, no AnsiballZ package.

The base class of all actions that work on a host:

    class ActionModule(HostScriptAction):
        def run(self, tmp=None, task_vars=None):
            super().run(tmp, task_vars)
            answer = self.run_script(PACKAGES / "scan", entry="main:scan", arguments={}, task_vars=task_vars)
            answer.result  # parsed JSON
            answer.facts   # to be returned as ansible_facts (the interpreter that was found)

``run_script`` raises AnsibleActionFail with a one-line reason; connection and become errors are not caught,
so that Ansible marks the host as unreachable. It runs in check mode as well: the caller decides.

On the host, ``module_utils/bootstrap.py`` imports the sources from memory; they may use only the standard
library of Python 3.8 and the packages that are always included (``host.sources.FLOOR``). If the connection
pipelines, the script is sent on standard input and nothing is written on the host; otherwise, also if become
cannot pipeline, it is a file in the remote temporary folder, removed afterwards. No data is ever part of a
shell command: arguments and sources are in the script.
"""

from __future__ import annotations

import binascii
import json
import re
import secrets
import shlex
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ansible import constants as C  # noqa: N812 - the name everybody uses for it
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.host import limited_json
from ..module_utils.host.sources import PACKAGE, sources
from ..module_utils.host.text import one_line
from . import answer_size, limits

PACKAGES = Path(__file__).parents[1] / "module_utils"
_BOOTSTRAP = PACKAGES / "bootstrap.py"

# Python 2 and old Python 3 must be able to parse this: it refuses them before they read stdin. `bytes(1)`
# is a NUL without a backslash, since some shells take two of them for one.
_LOADER = (
    "import sys\n"
    "if sys.version_info<(3,8):"
    "sys.stderr.write(sys.executable+' is Python '+sys.version.split()[0]+'\\n');sys.exit(86)\n"
    "import zlib,binascii;"
    "script,_,bundle=zlib.decompress(binascii.a2b_base64(sys.stdin.buffer.read())).partition(bytes(1));"
    "exec(script);run(bundle)"
)
_TURNED_AWAY = re.compile(r"(?<!\S)\S{1,300} is Python [\w.+]{1,40}")
_TOO_OLD = 86
_NOT_FOUND = 87
_MAX_LINE = 300
_MAX_SAID = 20_000  # characters of output that are searched for the reason of a failure
_MAX_HEAD = 4096
RETRIES = "reconnection_retries"  # of Ansible's ssh connection
_AUTO = frozenset({"", "auto", "auto_silent", "auto_legacy", "auto_legacy_silent"})


_PATH = re.compile(r"/[\w./+-]{1,200}", re.ASCII)
_VERSION = re.compile(r"[\w.+-]{1,40}", re.ASCII)
_MOST = 200  # steps of one answer
_LONGEST = 100  # bytes of a line
# ``contract.STEP`` begins a line.
_LINE = re.compile(rb"^hardener-step ([a-z0-9][a-z0-9 -]{0,39})\r?\n", re.MULTILINE)
_TEXT = re.compile(r"^hardener-step [a-z0-9 -]{0,40}\r?\n?", re.MULTILINE)


class Answer(NamedTuple):
    """The host's answer: the function's result, the path of its Python interpreter, and facts to store.

    ``encoded`` is the result as the host has encoded it: ASCII, and not validated further.
    """

    result: Any
    python: str
    facts: dict[str, str]
    encoded: bytes = b""


class HostScriptAction(ActionBase):
    """An action that runs packages on the host; see the module's documentation."""

    TRANSFERS_FILES = False
    KEEPS_LIMITS = True  # `run_script` applies them; hardener adds none around the task

    def run_script(
        self,
        source: Path,
        *,
        entry: str,
        arguments: dict[str, Any],
        task_vars: dict[str, Any] | None,
        timeout: int = 0,
        patience: float = 0,
        parsed: bool = True,
        repeatable: bool = False,
        told: Callable[[str], None] | None = None,
    ) -> Answer:
        """Deliver a package folder to the host, call a function of it, and return its result.

        Args:
            source: package folder (with ``__init__.py``).
            entry: ``module:function`` inside the package; it takes ``arguments`` and returns JSON data, or
                bytes that are JSON already.
            arguments: JSON data.
            task_vars: the task's variables.
            timeout: seconds after which the script is killed on the host; 0 for never.
            patience: seconds after which the controller gives up; by default somewhat more than
                ``timeout``, or the limit of all tasks.
            parsed: whether the result is parsed here. A later parser has to be as strict.
            repeatable: whether a lost connection may be retried, as Ansible is set, so that it is run again.
            told: called with each step that the script begins, where the connection reads as it arrives.

        Raises:
            AnsibleActionFail: there is no usable Python on the host, the script failed, or it answered too
                much.
            AnsibleConnectionFailure: there is no connection, or no answer in time.
        """
        marker = f"host-script-{secrets.token_hex(8)}"
        payload = bundle(
            source=source,
            entry=entry,
            arguments=arguments,
            marker=marker,
            timeout=timeout,
        )
        interpreters, discovering = self._interpreters(task_vars or {})
        seconds = patience or (timeout + limits.MARGIN if timeout else limits.TASK)
        said = Steps(told).read if told else None
        with limits.bounded(self._connection, seconds=seconds, said=said), self._retries(allowed=repeatable):
            outcome = self._execute(self._command(interpreters), payload)
            head, answer, encoded = self._parse(
                outcome, marker, interpreters=interpreters, timeout=timeout, parsed=parsed
            )
        if "error" in answer:
            self._display.vvv(str(answer.get("traceback")))
            reason = one_line(str(answer["error"])[:_MAX_LINE], end=True)
            raise AnsibleActionFail(f"{source.name} failed on the host: {reason}")
        facts = {}
        python, executable = str(head.get("python", "")), str(head.get("executable", ""))
        # It becomes part of later commands on the host that sent it.
        if discovering and _PATH.fullmatch(executable) and not self._task.delegate_to:
            facts["discovered_interpreter_python"] = executable
        known = python if _VERSION.fullmatch(python) else ""
        return Answer(answer.get("result"), known, facts, encoded)

    def step(self, task_vars: Mapping[str, Any] | None, name: str) -> None:
        """Show that a step begins on a host; ``hardener`` reads this line (``fleet.events``)."""
        Display().display(f"hardener: {(task_vars or {}).get('inventory_hostname', '')}: {name}")

    @contextmanager
    def _retries(self, *, allowed: bool) -> Iterator[None]:
        """Prevent ssh from running a script again after a lost connection, unless ``allowed``."""
        connection = self._connection
        if allowed or connection.transport != "ssh":
            yield
            return
        before = connection.get_option(RETRIES)
        connection.set_option(RETRIES, 0)
        try:
            yield
        finally:
            connection.set_option(RETRIES, before)

    @staticmethod
    def see_it_fits(result: Any, *, told: bool = True) -> None:
        """Refuse a result that is too large for a task; one that is not shown may be larger.

        Raises:
            AnsibleActionFail: it is.
        """
        (answer_size.see_it_can_be_told if told else answer_size.see_it_fits)(result)

    def _interpreters(self, task_vars: dict[str, Any]) -> tuple[list[list[str]], bool]:
        """Return interpreters to try, as argument lists, and whether they are discovered, not configured."""
        if self._task.delegate_to:
            task_vars = task_vars.get("ansible_delegated_vars", {}).get(self._task.delegate_to, {})
        named = C.config.get_config_value("INTERPRETER_PYTHON", variables=task_vars)
        named = str(self._templar.template(named) or "").strip()
        if named not in _AUTO:
            return [shlex.split(named)], False
        # The one of an earlier task first, if the host has it: Ansible may have mixed the facts of hosts.
        known = (task_vars.get("ansible_facts") or {}).get("discovered_interpreter_python")
        # Then the system's own Python: the newest one in PATH may be a shim or a private build.
        fallback = C.config.get_config_value("INTERPRETER_PYTHON_FALLBACK", variables=task_vars)
        names = [*([known] if known else []), "/usr/bin/python3", *fallback, "python3"]
        return [[name] for name in dict.fromkeys(map(str, names))], not known

    def _command(self, interpreters: list[list[str]]) -> str:
        """Return the shell command that runs stdin with the first suitable interpreter that exists."""
        quote = shlex.quote
        tries = [
            f"if command -v {quote(words[0])} >/dev/null 2>&1;then "
            f'{" ".join(map(quote, words))} -IBS -c "$0";r=$?;'
            f"case $r in {_TOO_OLD}|126|127);;*)exit $r;;esac;fi"
            for words in interpreters
        ]
        script = ";".join([*tries, f"exit {_NOT_FOUND}"])
        # A nested sh, so that neither the login shell nor a configured shell has to parse the script.
        loader = "exec(" + repr(_LOADER) + ")"  # on one line: csh ends a string at a line's end
        command = f"/bin/sh -c {quote(script)} {quote(loader)}"
        return f"{self._compute_environment_string()} {command}".strip()

    def _execute(self, command: str, payload: bytes) -> dict[str, Any]:
        """Run the command with the payload on its standard input, by pipelining or from a file."""
        if self._is_pipelining_enabled("new"):
            return dict(self._low_level_execute_command(command, in_data=payload))
        shell = self._connection._shell
        made_here = shell.tmpdir is None
        if made_here:
            self._make_tmp_path()
        try:
            path = shell.join_path(shell.tmpdir, "host_script")
            self._transfer_data(path, payload)
            self._fixup_perms2([shell.tmpdir, path])
            return dict(self._low_level_execute_command(f"{command} < {shell.quote(path)}"))
        finally:
            if made_here:
                self._remove_tmp_path(shell.tmpdir)

    def _parse(
        self,
        outcome: dict[str, Any],
        marker: str,
        *,
        interpreters: list[list[str]],
        timeout: int,
        parsed: bool = True,
    ) -> tuple[dict[str, Any], dict[str, Any], bytes]:
        """Return header and answer between the markers, and the result in it as the host has encoded it.

        Raises:
            AnsibleActionFail: they are not there or not readable; the message says why.
        """
        _before, found, rest = outcome["stdout"].partition(f"{marker} ")
        body, ended, _after = rest.partition(marker)
        if found and ended:
            head, _separator, blob = body.partition("\n")
            try:
                if len(head) > _MAX_HEAD:
                    raise ValueError("the header is too long")
                inflater = zlib.decompressobj()
                text = inflater.decompress(binascii.a2b_base64(blob), answer_size.ANSWER)
                if inflater.unconsumed_tail:
                    raise AnsibleActionFail(f"the host's answer is larger than {answer_size.ANSWER} bytes")
                answer_size.see_it_parses(text)
                encoded = _result(text)
                parsed_head = limited_json.parse(head.encode())
                answer = (
                    {} if encoded and not parsed else limited_json.parse(text, most_values=answer_size.VALUES)
                )
                if isinstance(parsed_head, dict) and isinstance(answer, dict):
                    return parsed_head, answer, encoded
            except limited_json.TooLargeError as error:
                raise AnsibleActionFail(f"the host's answer is too large: {error}") from error
            except (ValueError, zlib.error):
                pass
            raise AnsibleActionFail("the host's answer cannot be read: it was altered or cut on the way")
        stderr, stdout = (without_steps(outcome[name][-_MAX_SAID:]) for name in ("stderr", "stdout"))
        said = one_line(stderr or stdout, end=True)
        too_old = ", ".join(_TURNED_AWAY.findall(f"{stderr}\n{stdout}"))
        tried = ", ".join(words[0] for words in interpreters)
        match outcome["rc"]:
            case 87 if too_old:
                reason = f"Python 3.8 or newer is needed on the host: {too_old} (tried {tried})"
            case 87:
                reason = f"no Python on the host (tried {tried}): set ansible_python_interpreter"
            case 142 | -14 if timeout:
                reason = f"the script did not end within {timeout} s on the host and was killed"
            case rc:
                reason = f"the script ended with code {rc} on the host: {said or 'it printed nothing'}"
        raise AnsibleActionFail(reason)


def bundle(
    *,
    source: Path,
    entry: str,
    arguments: dict[str, Any],
    marker: str,
    timeout: int = 0,
) -> bytes:
    """Return the data for the host: bootstrap, NUL, sources and arguments as JSON; compressed.

    Raises:
        AnsibleActionFail: ``source`` is no package folder.
    """
    request = {"entry": f"{PACKAGE}.{source.name}.{entry}", "arguments": arguments, "marker": marker}
    return prepared(source).script({**request, "timeout": timeout})


class Prepared:
    """A package and its bootstrap, compressed once for all hosts: only the end of a script differs."""

    def __init__(self, modules: Mapping[str, tuple[bool, str]]) -> None:
        # One JSON text, which no compiler sees: as a literal it would take a host as long as ten modules.
        text = f'{_BOOTSTRAP.read_text(encoding="utf-8")}\0{{"sources": {json.dumps(modules)}, '
        self._compressor = zlib.compressobj()
        self._begin = self._compressor.compress(text.encode())

    def script(self, request: Mapping[str, Any]) -> bytes:
        """Return the script for one host."""
        compressor = self._compressor.copy()
        end = json.dumps(request).removeprefix("{").encode()
        return binascii.b2a_base64(self._begin + compressor.compress(end) + compressor.flush(), newline=False)


@cache
def prepared(source: Path) -> Prepared:
    """Return a package prepared for hosts.

    An action's module calls this while it is imported: Ansible's main process does that before it forks a
    worker for each host, and the workers find it done.

    Raises:
        AnsibleActionFail: ``source`` is no package folder.
    """
    if not (source / "__init__.py").is_file():
        raise AnsibleActionFail(f"{source} is not a package folder: it has no __init__.py")
    texts = sources()
    for path in sorted(source.rglob("*.py")):
        texts[f"{source.name}/{path.relative_to(source)}"] = path.read_text(encoding="utf-8")
    modules = {}
    for name, text in texts.items():
        parts = [PACKAGE, *name.removesuffix(".py").split("/")]
        is_package = parts[-1] == "__init__"
        modules[".".join(parts[:-1] if is_package else parts)] = (is_package, text)
    return Prepared(modules)


def _result(text: bytes) -> bytes:
    """Return the undecoded result in an answer; empty if there is none.

    Non-ASCII characters, which our encoder does not write, would take four times their size.
    """
    head, tail = b'{"result":', b"}"
    if text.startswith(head) and text.endswith(tail) and text.isascii():
        return text[len(head) : -len(tail)]
    return b""


class Steps:
    """Finds the reported steps in the standard error of a host, which arrives in pieces.

    The host is not trusted: short names of plain characters count, and a limited number of them; all else is
    left alone. The controller shows them while it waits, and decides nothing by them.

    Args:
        told: called with the name of each step.
    """

    def __init__(self, told: Callable[[str], None]) -> None:
        self._told = told
        self._rest = b""
        self._left = _MOST

    def read(self, piece: bytes) -> None:
        """Read a piece of standard error, and pass on each step that it completes."""
        text = self._rest + piece
        for found in _LINE.finditer(text):
            if self._left > 0:
                self._left -= 1
                self._told(found[1].decode())
        self._rest = text[text.rfind(b"\n") + 1 :][:_LONGEST]


def without_steps(text: str) -> str:
    """Return the error output of a host without the reported steps."""
    return _TEXT.sub("", text)


def host_of(task_vars: Mapping[str, Any] | None) -> str:
    """Return the inventory name of the host at work."""
    return str((task_vars or {}).get("inventory_hostname", ""))


def require_own(task_vars: Mapping[str, Any] | None, data: Mapping[str, Any], name: str) -> None:
    """Require that data belongs to the host at work.

    Args:
        task_vars: the variables of the task.
        data: with the name of its host in ``host``.
        name: names the data in the error.

    Raises:
        AnsibleActionFail: the data belongs to another host, or to none.
    """
    if data.get("host") != host_of(task_vars):
        raise AnsibleActionFail(
            f"{name} belongs to the host {str(data.get('host'))[:300]!r}, not to {host_of(task_vars)!r}:"
            " run_once, delegate_to or hostvars may have mixed the results of hosts"
        )
