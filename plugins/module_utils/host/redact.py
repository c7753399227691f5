"""Replace secrets by keyed digests before anything leaves the host.

A digest (``hmac:`` and 16 hex digits) allows to compare two snapshots of a host without disclosing the value.
Values of environment variables and build arguments are always replaced; other values if their name or form
shows that they are secret. Recognised secrets are counted, so that checks can decide without them.
"""

from __future__ import annotations

import re
from os import urandom

from ..host.errors import Failed
from ..host.read import read_bytes

MYPY = False
if MYPY:  # pragma: no cover - `typing` is not imported on the host
    from collections.abc import Iterable
    from typing import Any

MAX_TEXT = 16384
_MAX_SECRETS = 2000
_HOST_KEYS = ("ed25519", "ecdsa", "rsa")

# A name of a secret. `password-file=/run/secrets/db` only names a path.
_SAID = (
    r"passw|passphrase|secret|token|credential|basic-?auth|masterauth|htpasswd|api[-_.]?key|cookie"
    r"|(private|access|account|encryption|signing|license|session|shared)[-_.]?key|conn(ection)?[-_.]?str"
)
_NAME = re.compile(rf"{_SAID}|pwd$|(?<!by|om)pass$", re.IGNORECASE)
_ANY_NAME = re.compile(
    rf"{_SAID}|pwd|pass", re.IGNORECASE
)  # a fast test whether a text can contain such a name
_PLACE = re.compile(r"(file|path|dir|name|id|url|ttl|expiry|length|type|driver)s?$", re.IGNORECASE)
_NO_SECRET = re.compile(
    r"|true|false|yes|no|none|null|\d{1,3}|hmac:[0-9a-f]{16}|/[^\s=]*|\$\S*", re.IGNORECASE
)
# A name and the separator before its value.
_ASSIGNED = re.compile(r"""(?<![\w.-])([\w.-]{1,64})["']?\s*[=:]\s*""")
_OPTION = re.compile(r"""(?<![\w.-])(--?[\w.-]{1,64})["']?,?\s+(?!["']?-)""")
_VALUE = re.compile(r""""(?:[^"\\]|\\.)*(?:"|\\?\Z)|'[^']*(?:'|\Z)|[^\s;&|"',]+""", re.DOTALL)
_HEADER = re.compile(r"(authorization\s*:\s*(?:basic|bearer|token)\s+)([^\s\"']+)", re.IGNORECASE)
_URL = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{0,31}://)([^\s/\"'?#]+)@")


class _Tool:
    """A tool's option for a password: the pattern has the option in group 1, the password in group 2.

    ``option`` must occur in group 1, if the pattern itself does not require it.
    """

    def __init__(self, name: str, pattern: re.Pattern[str], option: re.Pattern[str] | None = None) -> None:
        self.name = name
        self.pattern = pattern
        self.option = option


class _Form:
    """The pattern of a kind of secret; a match without the text ``needs`` is no secret."""

    def __init__(self, kind: str, pattern: re.Pattern[str], needs: str = "") -> None:
        self.kind = kind
        self.pattern = pattern
        self.needs = needs


# A user name may have any length and contain what looks like another option: a search from each of them would
# take quadratic time. So the option is either at the end of a word or searched for in one.
_USER_OPTION = r"(?<![\w-])(?:-u|-U|--user|--proxy-user)"
_TOOLS = (
    _Tool(
        "curl",
        re.compile(rf"""({_USER_OPTION}=*(?:\s[=\s]*["']?|["'])[^\s:"'=][^\s:"']*:)([^\s"']+)"""),
    ),
    _Tool(
        "curl",
        re.compile(r"""(?<![^\s:"'])([^\s:"']+:)([^\s"']+)"""),
        re.compile(rf"{_USER_OPTION}[^:]"),
    ),
    _Tool("mysql", re.compile(r"""(?<![\w-])(-p["']?)([^\s"']+)""")),
    _Tool("mariadb", re.compile(r"""(?<![\w-])(-p["']?)([^\s"']+)""")),
    _Tool("redis-cli", re.compile(r"""(?<![\w-])(-a\s+["']?)([^\s"']+)""")),
    _Tool("sshpass", re.compile(r"""(?<![\w-])(-p\s*["']?)([^\s"']+)""")),
)
_ANY_TOOL = re.compile("curl|mysql|mariadb|redis-cli|sshpass")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_FORMS = (
    _Form("private-key", _PRIVATE_KEY),
    _Form("aws-key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    # The parts after the first are optional: so the first part is read once, and not from each `eyJ` in it.
    _Form("jwt", re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]{8,}\.[\w-]*)?"), "."),
    _Form(
        "token",
        re.compile(
            r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{40,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,}"
            r"|SWMTKN-1-[a-z0-9-]{20,}|SWMKEY-1-[\w+/=]{20,}|sk-[\w-]{20,}|npm_[A-Za-z0-9]{30,})"
        ),
    ),
)
# A fast test whether any form above can occur in this text.
_ANY_FORM = re.compile(
    r"://|PRIVATE KEY|uthorization|AKIA|ASIA|eyJ|gh[pousr]_|github_pat_|glpat-|xox|SWM|sk-|npm_"
)
_FINDABLE = "uthorization :// AKIA ASIA eyJ ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- xox SWM sk- npm_"
_HINTS = (b"PRIVATE KEY", *_FINDABLE.encode().split())  # the same for long texts, where finding is faster
_MAX_PLAIN = 512  # characters of a value that may be no secret, such as a path; a longer one is always one
_MAX_KNOWN = 256  # characters of a text that is worth remembering
_names: dict[str, bool] = {}  # what `_says_secret` has said


class Redactor:
    """Replaces secrets and remembers where they were, not their values."""

    def __init__(self) -> None:
        self.key, self.key_source = _load_key()
        self.secrets: list[dict[str, str]] = []
        self.secrets_cut = False  # whether there were more than are remembered
        self._digests: dict[str, str] = {}
        self._clean: set[str] = set()  # short texts without secrets: containers of one image repeat them

    def digest(self, value: str) -> str:
        """Return a keyed digest that replaces a secret value."""
        known = self._digests.get(value)
        if known is None:
            code = hmac_sha256(self.key, value.encode("utf-8", "surrogatepass"))
            known = f"hmac:{code.hex()[:16]}"
            if len(self._digests) < 10000 and len(value) < _MAX_KNOWN:
                self._digests[value] = known
        return known

    def count(self, where: str, kind: str) -> None:
        """Record the place and the kind of a secret; above the limit, record only that there are more."""
        if len(self.secrets) < _MAX_SECRETS:
            self.secrets.append({"where": where[:300], "kind": kind})
        else:
            self.secrets_cut = True

    def report(self) -> dict[str, Any]:
        """Return the places of the redacted secrets, as the snapshot reports them."""
        return {"secrets": self.secrets, "secrets_cut": self.secrets_cut}

    def assignments(self, pairs: Any, where: str) -> list[str]:
        """Redact an environment: ``["NAME=value", …]``, every value replaced."""
        result = []
        for pair in pairs or ():
            name, equals, value = str(pair).partition("=")
            kind = _kind(name, value)
            if kind:
                self.count(f"{where} env {name[:100]}", kind)
            result.append(f"{name[:MAX_TEXT]}={self.digest(value)}" if equals else name[:MAX_TEXT])
        return result

    def words(self, words: Any, where: str, after: Any = ()) -> list[str]:
        """Redact a command line: values of options with a secret's name, and what looks like a secret.

        Args:
            words: the words.
            where: what the command line belongs to.
            after: the original words before these.
        """
        before = [str(word) for word in after or ()]
        previous = before[-1] if before else ""
        tools = dict.fromkeys(_mentioned_tools(" ".join(before)))
        result: list[str] = []
        for word in words or ():
            text = str(word)
            tools.update(dict.fromkeys(_mentioned_tools(text)))
            secret = previous.startswith("-") and "=" not in previous and _says_secret(previous)
            if secret and not text.startswith("-") and not _NO_SECRET.fullmatch(text):
                self.count(f"{where} {previous[:100]}", "name")
                text = self.digest(text)
            else:
                text = self._argument(previous, self.text(text, where), tools, where)
            result.append(text)
            previous = str(word)
        return result

    def _argument(self, previous: str, text: str, tools: Iterable[_Tool], where: str) -> str:
        """Redact the password in a word, if an option of one of these tools sets it."""
        for tool in tools:
            for before in (f"{previous} ", ""):
                match = tool.pattern.fullmatch(before + text)
                if match and match.end(1) >= len(before) and _is_password(match, tool):
                    self.count(where, "name")
                    return match.group(1)[len(before) :] + self.digest(match.group(2))
        return text

    def options(self, data: Any, where: str) -> Any:
        """Redact labels, options or settings: the values of names that denote secrets, at any depth."""
        if isinstance(data, dict):
            return {key: self._option(key, value, where) for key, value in data.items()}
        if isinstance(data, list):
            return [self.options(item, where) for item in data]
        return self.text(data, where) if isinstance(data, str) else data

    def _option(self, name: str, value: Any, where: str) -> Any:
        if isinstance(value, str) and _says_secret(name) and not _NO_SECRET.fullmatch(value):
            self.count(f"{where} {name[:100]}", _kind(name, value) or "name")
            return self.digest(value)
        return self.options(value, where)

    def forms(self, data: Any, raw: bytes, where: str) -> Any:
        """Redact a whole document: what looks like a secret, and texts of excessive length.

        Args:
            data: the parsed document.
            raw: its text, to tell quickly that there is nothing to do.
            where: what the document describes.
        """
        if len(raw) <= MAX_TEXT and not any(hint in raw for hint in _HINTS):
            return data
        return self._forms(data, where)

    def _forms(self, data: Any, where: str) -> Any:
        if isinstance(data, dict):
            return {key[:MAX_TEXT]: self._forms(value, where) for key, value in data.items()}
        if isinstance(data, list):
            return [self._forms(item, where) for item in data]
        return self._form(data, where) if isinstance(data, str) else data

    def text(self, text: str, where: str) -> str:
        """Redact a text: what looks like a secret, and assignments to names that denote secrets."""
        if text in self._clean:
            return text
        original, text = text, self._form(text, where)
        text = self._tools(text, where)
        if not _ANY_NAME.search(text):
            if text == original and len(text) < _MAX_KNOWN and len(self._clean) < 10000:
                self._clean.add(text)
            return text

        return self._named(_OPTION, self._named(_ASSIGNED, text, where), where)

    def _named(self, pattern: re.Pattern[str], text: str, where: str) -> str:
        """Redact values of names that denote secrets, also inside values (``--log-opt=splunk-token=…``).

        A value that is no secret is read again from each name within it: so it has to be short.
        """
        pieces: list[str] = []
        done = at = 0
        while True:
            match = pattern.search(text, at)
            if match is None:
                return "".join([*pieces, text[done:]])
            name, at = match.group(1), match.end()
            value = _VALUE.match(text, at) if _says_secret(name) else None
            if value is None:
                continue
            if value.end() - at <= _MAX_PLAIN and _NO_SECRET.fullmatch(value.group().strip("\"'")):
                continue
            self.count(f"{where} {name}", "name")
            pieces += [text[done:at], self.digest(value.group())]
            done = at = value.end()

    def _tools(self, text: str, where: str) -> str:
        """Redact passwords in the arguments of well-known tools."""
        for tool in _mentioned_tools(text):

            def replace(match: re.Match[str], tool: _Tool = tool) -> str:
                if not _is_password(match, tool):
                    return match.group()
                self.count(where, "name")
                return f"{match.group(1)}{self.digest(match.group(2))}"

            text = tool.pattern.sub(replace, text)
        return text

    def _form(self, text: str, where: str) -> str:
        """Redact what looks like a secret by its form; cut a text of excessive length."""
        length = len(text)
        if length <= MAX_TEXT and not _ANY_FORM.search(text):
            return text
        text = text[:MAX_TEXT]
        for form in _FORMS:

            def replace(match: re.Match[str], form: _Form = form) -> str:
                if form.needs not in match.group():
                    return match.group()
                self.count(where, form.kind)
                return self.digest(match.group())

            text = form.pattern.sub(replace, text)
        if "://" in text:
            text = _URL.sub(lambda match: self._url(match, where), text)
        if "uthorization" in text:

            def header(match: re.Match[str]) -> str:
                self.count(where, "token")
                return f"{match.group(1)}{self.digest(match.group(2))}"

            text = _HEADER.sub(header, text)
        # Cut with a margin: half of a secret at the end would not be recognised.
        return text if length <= MAX_TEXT else f"{text[:-4096]} … [cut: {length} characters]"

    def _url(self, match: re.Match[str], where: str) -> str:
        if ":" in match.group(2):
            self.count(where, "url-password")
        return f"{match.group(1)}{self.digest(match.group(2))}@"


class Mask(Redactor):
    """Replaces secrets by asterisks, for what this host shows and does not compare."""

    def digest(self, value: str) -> str:  # noqa: ARG002 - the redactor's digest depends on it
        """Return asterisks."""
        return "***"

    def lines(self, text: str) -> str:
        """Redact a text line by line, so that its length has no limit."""
        return "\n".join(self.text(line, "") for line in _PRIVATE_KEY.sub("***", text).split("\n"))


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """Return HMAC with SHA-256 (RFC 2104) for a key no longer than a block, like all of our keys."""
    inner, outer = (bytes(byte ^ pad for byte in key.ljust(64, b"\0")) for pad in (0x36, 0x5C))
    code: bytes = sha256(outer + sha256(inner + message).digest()).digest()
    return code


def _load_sha256() -> Any:
    """Return Python's own SHA-256 function, since importing `hashlib` loads OpenSSL, which takes 5 ms."""
    for name in ("_sha2", "_sha256", "hashlib"):
        try:
            return __import__(name, fromlist=["sha256"]).sha256
        except (ImportError, AttributeError):
            continue
    raise Failed("this Python has no SHA-256")


sha256 = _load_sha256()


def _mentioned_tools(text: str) -> list[_Tool]:
    """Return the tools that a text mentions."""
    return [tool for tool in _TOOLS if tool.name in text] if _ANY_TOOL.search(text) else []


def _is_password(match: re.Match[str], tool: _Tool) -> bool:
    if tool.option is not None and not tool.option.search(match.group(1)):
        return False
    return not _NO_SECRET.fullmatch(match.group(2))


def _says_secret(name: str) -> bool:
    known = _names.get(name)
    if known is None:
        # No real name is that long, and a search in a megabyte takes a third of a second.
        known = len(name) > MAX_TEXT or (bool(_NAME.search(name)) and not _PLACE.search(name))
        if len(_names) < 10000 and len(name) < _MAX_KNOWN:
            _names[name] = known
    return known


def _kind(name: str, value: str) -> str:
    """Return what kind of secret a variable holds; empty for none."""
    if _ANY_FORM.search(value):
        for form in _FORMS:
            if any(form.needs in match.group() for match in form.pattern.finditer(value)):
                return form.kind
        match = _URL.search(value)
        if match and ":" in match.group(2):
            return "url-password"
    return "name" if _says_secret(name) and not _NO_SECRET.fullmatch(value) else ""


def _load_key() -> tuple[bytes, str]:
    """Derive a key from this host's ssh host key, or make a random one: digests must not reveal values."""
    for kind in _HOST_KEYS:
        try:
            secret = read_bytes(f"/etc/ssh/ssh_host_{kind}_key", 65536)
        except (OSError, Failed):
            continue
        if secret:
            return sha256(b"hardener snapshot digest\0" + secret).digest(), "host"
    return urandom(32), "random"
