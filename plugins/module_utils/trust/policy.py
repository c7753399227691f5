r"""Parse the site's policy for images (``docs/trust.md`` describes its form in the inventory).

    {"registries": [
       {"prefix": "registry.example.com", "keys": ["-----BEGIN PUBLIC KEY-----\n…"], "need": "any"},
       {"prefix": "registry.example.com/base", "digests": ["sha256:…"]},
       {"prefix": "docker.io/library", "nothing": true}],
     "exceptions": [{"image": "registry.example.com/old:1", "reason": "…", "expires": "2026-12-31"}]}

The longest matching prefix decides. An image without a matching prefix is not allowed.
"""

from __future__ import annotations

import json
import re
from datetime import date
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any, Iterable, NamedTuple

from . import references
from .findings import PolicyError

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+\n-----END PUBLIC KEY-----")
_MOST = 1000
_KEYS = {"prefix", "keys", "need", "digests", "nothing"}


class Rule(NamedTuple):
    """The requirement for images of a registry or repository: a signature, a listed digest, or nothing."""

    prefix: str
    keys: tuple[str, ...] = ()  # PEM
    every: bool = False  # all keys must have signed, not only one of them
    digests: tuple[str, ...] = ()


class Exemption(NamedTuple):
    """An image without requirements until the end of a day."""

    image: str  # glob of a name, or an id or digest
    reason: str
    expires: str


class Policy(NamedTuple):
    """The policy, and the hash of its content."""

    rules: tuple[Rule, ...]
    exemptions: tuple[Exemption, ...]
    digest: str

    def rule(self, repository: str) -> Rule | None:
        """Return the rule for a repository; None if it is not allowed."""
        matching = (
            rule
            for rule in self.rules
            if repository == rule.prefix or repository.startswith(f"{rule.prefix}/")
        )
        return max(matching, key=lambda rule: len(rule.prefix), default=None)

    def exemption(self, names: Iterable[str], today: str) -> Exemption | None:
        """Return the exception for an image with these names, ids and digests, unless it has expired."""
        known = list(names)
        for each in self.exemptions:
            if today <= each.expires and any(fnmatchcase(name, each.image) for name in known):
                return each
        return None


def parse(data: Any) -> Policy:
    """Parse a policy.

    Raises:
        PolicyError: the data are not a policy.
    """
    if not isinstance(data, dict) or set(data) - {"registries", "exceptions"}:
        raise PolicyError("the policy must be an object with registries and exceptions")
    rules = tuple(_rule(item, f"registries[{at}]") for at, item in _entries(data, "registries"))
    prefixes = [rule.prefix for rule in rules]
    for prefix in prefixes:
        if prefixes.count(prefix) > 1:
            raise PolicyError(f"{prefix} is listed twice in registries")
    exemptions = tuple(_exemption(item, f"exceptions[{at}]") for at, item in _entries(data, "exceptions"))
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return Policy(rules, exemptions, sha256(text.encode()).hexdigest())


def _entries(data: dict[str, Any], key: str) -> Iterable[tuple[int, dict[str, Any]]]:
    items = data.get(key) or []
    if not isinstance(items, list) or len(items) > _MOST or not all(isinstance(item, dict) for item in items):
        raise PolicyError(f"{key} must be a list of objects, {_MOST} at most")
    return enumerate(items)


def _rule(item: dict[str, Any], where: str) -> Rule:
    unknown = sorted(set(item) - _KEYS)
    if unknown:
        raise PolicyError(f"{where} has the unknown key {unknown[0]}")
    if sum(bool(item.get(way)) for way in ("keys", "digests", "nothing")) != 1:
        raise PolicyError(f"{where} must have exactly one of `keys`, `digests` and `nothing`")
    if item.get("nothing") not in (None, False, True):
        raise PolicyError(f"{where}.nothing must be true")
    if item.get("need", "any") not in ("any", "all"):
        raise PolicyError(f"{where}.need must be any or all")
    try:
        prefix = references.prefix(_text(item, "prefix", where))
    except ValueError as error:
        raise PolicyError(f"{where}.prefix: {error}") from None
    digests = _texts(item, "digests", where)
    if not all(references.DIGEST.fullmatch(digest) for digest in digests):
        raise PolicyError(f"{where}.digests must be digests such as sha256:… with 64 digits")
    return Rule(prefix, _keys(item, where), item.get("need") == "all", digests)


def _keys(item: dict[str, Any], where: str) -> tuple[str, ...]:
    """Return the public keys of a rule; refuse duplicates, and everything that is not a public key in PEM."""
    keys = tuple(key.replace("\r\n", "\n").strip() + "\n" for key in _texts(item, "keys", where))
    if not all(_PEM.fullmatch(key.rstrip()) for key in keys):
        raise PolicyError(f"{where}.keys must be public keys in PEM, not names of files")
    if len(set(keys)) < len(keys):
        raise PolicyError(f"{where}.keys has a key twice")
    return keys


def _exemption(item: dict[str, Any], where: str) -> Exemption:
    found = Exemption(*(_text(item, key, where) for key in Exemption._fields))
    if not re.search("[A-Za-z0-9]", found.image):
        raise PolicyError(f"{where}.image would match every image: name one")
    if not _is_day(found.expires):
        raise PolicyError(f"{where}.expires must be a date such as 2026-11-25")
    return found


def _is_day(text: str) -> bool:
    try:
        return bool(_DAY.fullmatch(text) and date.fromisoformat(text))
    except ValueError:
        return False


def _text(item: dict[str, Any], key: str, where: str) -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value:
        raise PolicyError(f"{where}.{key} must be a string")
    return value


def _texts(item: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    values = item.get(key) or []
    if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
        raise PolicyError(f"{where}.{key} must be a list of strings")
    return tuple(values)
