"""Pull a verified image (``hardener-pull``): resolve a tag, verify and pull the digest, set the tag.

dockerd itself verifies nothing. The policy accepts the image before the engine gets it, and the engine gets a
digest, which cannot be moved.
"""

from __future__ import annotations

import json
import sys
import time
from base64 import urlsafe_b64encode
from typing import Any, Sequence

from ..host.errors import Failed
from ..host.layout import POLICY
from ..host.text import one_line
from . import login, policy, references
from .chain import Verifier
from .engine import Engine
from .findings import EXEMPT, GOOD, NOT_ALLOWED, UNREACHABLE, NotFound, PolicyError, Tampered, Unreachable
from .keys import Keys
from .main import read_policy
from .registry import USUAL, Registries, Settings, digest_of

_USAGE = f"""usage: hardener-pull IMAGE...

Pull images that the policy of this host ({POLICY}) accepts, and no others.
Exit codes: 0 pulled, 1 the engine or a program failed, 2 wrong use, 3 refused, 4 a registry cannot be asked.
"""
_PULLED, _FAILED, _MISUSED, _REFUSED, _UNKNOWN, _INTERRUPTED = 0, 1, 2, 3, 4, 130


class Refused(Exception):  # noqa: N818 - it is an answer, not a defect
    """The policy does not accept the image."""


def main(arguments: Sequence[str] = ()) -> int:
    """Pull every image of the command line until one cannot be pulled; return the exit code."""
    wanted = list(arguments or sys.argv[1:])
    if not wanted or any(word.startswith("-") for word in wanted):
        print(_USAGE, end="", file=sys.stdout if wanted in (["-h"], ["--help"]) else sys.stderr)
        return _PULLED if wanted in (["-h"], ["--help"]) else _MISUSED
    try:
        images = [references.parse(word) for word in wanted]
    except ValueError as error:
        return _say(str(error), _MISUSED)
    for image in images:
        try:
            print(pull(image, policy=read_policy()))
        except Refused as error:
            return _say(f"refused: {image}: {error}", _REFUSED)
        except (NotFound, Tampered) as error:
            return _say(f"refused: {error}", _REFUSED)
        except Unreachable as error:
            return _say(f"{image}: {error}", _UNKNOWN)
        except (Failed, PolicyError) as error:
            return _say(str(error), _FAILED)
        except KeyboardInterrupt:
            return _say(f"{image}: interrupted", _INTERRUPTED)
    return _PULLED


def pull(image: references.Reference, *, policy: Any, socket: str = "", settings: Settings = USUAL) -> str:
    """Pull an image that the policy accepts; return its digest reference.

    Raises:
        Refused: the policy does not accept it.
        NotFound, Tampered: the registry does not have it, or something else under its digest.
        Unreachable: the registry cannot be asked.
        Failed: the engine does not pull it.
        PolicyError: the policy is none.
    """
    registries, engine = Registries(settings), Engine(socket)
    try:
        return _pull(image, _parsed(policy), registries, engine, settings)
    finally:
        registries.close()


def _parsed(data: Any) -> policy.Policy:
    return policy.parse(data)


def _pull(
    image: references.Reference,
    wanted: policy.Policy,
    registries: Registries,
    engine: Engine,
    settings: Settings,
) -> str:
    rule = wanted.rule(image.repository)
    tag = image.tag or ("" if image.digest else "latest")
    with Keys(rule.keys if rule else ()) as keys:
        verifier = Verifier(
            wanted,
            registries,
            keys,
            containerd=engine.has_containerd_store(),
            today=time.strftime("%Y-%m-%d", time.gmtime()),
        )
        name = f"{image.repository}:{tag}" if tag else ""
        # Registries that the policy does not name are not queried.
        if not rule and not verifier.exempt(name, f"{image.repository}@{image.digest}"):
            raise Refused(f"{NOT_ALLOWED}: the policy does not name {image.repository}")
        digest = image.digest
        if not digest:
            digest = digest_of(registries.at(image.registry).manifest(image.path, tag))
        exempt = verifier.exempt(name, f"{image.repository}@{digest}")
        finding = exempt or verifier.reference(image, digest)
        if finding.status == UNREACHABLE:
            raise Unreachable(finding.detail)
        if finding.status not in (*GOOD, EXEMPT):
            raise Refused(f"{finding.status}: {finding.detail}")
        known = login.find(image.registry, settings.logins)
        engine.pull(image.repository, digest, _authorization(known, image.registry))
        pulled = f"{image.repository}@{digest}"
        identity = str(_present(engine, pulled).get("Id"))
        if not any(verifier.matches(identity, image, digest)):
            raise Refused(f"the engine has another image under {pulled}")
    if tag:
        engine.tag(identity, image.repository, tag)
    return f"{pulled}: {finding.status} ({one_line(finding.detail)})"


def _present(engine: Engine, pulled: str) -> dict[str, Any]:
    try:
        return engine.image(pulled)
    except KeyError:  # an engine that is stopped ends its answer without an error
        raise Failed(f"the engine does not have {pulled}: its pull was cut off") from None


def _authorization(known: login.Login | None, registry: str) -> str:
    """Return the login in the form of the engine's API."""
    if known is None:
        return ""
    server = "https://index.docker.io/v1/" if registry == "docker.io" else registry
    data = {"username": known.user, "password": known.password, "serveraddress": server}
    return urlsafe_b64encode(json.dumps(data).encode()).decode()


def _say(message: str, code: int) -> int:
    print(f"hardener-pull: {one_line(message)}", file=sys.stderr)
    return code
