"""Signatures that cosign left beside an image, verified by the host's `openssl`.

The classic form: a manifest under the tag ``sha256-<digest>.sig``, each layer of which is a payload (JSON
that names digest and repository) with the signature in an annotation. What is signed is the payload's bytes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from base64 import b64decode
from typing import Any, Iterator, NamedTuple, Sequence

from host_trust import references
from host_trust.registry import Registries, parsed
from host_trust.words import (
    UNSIGNED,
    UNVERIFIABLE,
    VERIFIED,
    WRONG_KEY,
    Failed,
    Finding,
    NotThere,
    PolicyError,
    Unreachable,
)

_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
_ANNOTATION = "dev.cosignproject.cosign/signature"
_MOST = 32  # signatures of an image that are looked at
_LARGEST = 16 * 1024  # of a signature
# Signatures of other kinds: of cosign 3, and of notation.
_OTHERS = re.compile(r"sigstore\.bundle|cncf\.notary\.signature")
_USABLE = re.compile(r"(?:RSA )?Public-Key: \(([0-9]+) bit")
_OPENSSL = "openssl"


class _Signature(NamedTuple):
    payload: bytes
    signature: bytes


class Keys:
    """The keys of the policy, as files that `openssl` reads, for as long as the context lasts.

    Raises:
        Failed: `openssl` is missing.
        PolicyError: a key is none that can be used.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._folder = tempfile.mkdtemp(prefix="hardener-trust-")
        self._files: dict[str, str] = {}
        try:
            for key in keys:
                self._add(key)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Keys:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the files."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def signed(self, key: str, signature: _Signature) -> bool:
        """Whether this key has made a signature: ECDSA or RSA over SHA-256."""
        path = os.path.join(self._folder, "signature")
        with open(path, "wb") as file:
            file.write(signature.signature)
        arguments = ("dgst", "-sha256", "-verify", self._files[key], "-signature", path)
        return _openssl(*arguments, data=signature.payload)[0] == 0

    def _add(self, key: str) -> None:
        if key in self._files:
            return
        path = os.path.join(self._folder, f"key{len(self._files)}.pem")
        with open(path, "w", encoding="utf-8", errors="replace") as file:
            file.write(key)
        code, said = _openssl("pkey", "-pubin", "-in", path, "-noout", "-text")
        usable = _USABLE.match(said)
        if code != 0 or not usable:
            raise PolicyError(f"a key is no ECDSA or RSA public key in PEM: {key[:40]!r}…")
        if "Modulus" in said and int(usable[1]) < 2048:
            raise PolicyError(f"an RSA key has {usable[1]} bits, and must have 2048")
        self._files[key] = path


def verify(
    registries: Registries,
    image: references.Reference,
    digest: str,
    *,
    keys: Keys,
    wanted: Sequence[str],
    every: bool,
) -> Finding:
    """Whether a digest of a repository is signed by one of the wanted keys, or by all of them.

    Raises:
        Unreachable: the registry cannot be asked.
    """
    registry = registries.at(image.registry)
    try:
        manifest = registry.manifest(image.path, digest.replace(":", "-") + ".sig")
    except NotThere:
        return _without_classic(registries, image, digest)
    missing = set(wanted)
    reasons = []
    for signature in _signatures(registries, image, manifest):
        found = {key for key in wanted if key in missing and keys.signed(key, signature)}
        if not found:
            reasons.append("no key of the policy has made the signature")
            continue
        wrong = _is_about_other(signature.payload, image, digest)
        if wrong:
            reasons.append(wrong)
            continue
        missing -= found
        if not missing or not every:
            return Finding(VERIFIED, "signed")
    if len(missing) < len(wanted):
        return Finding(WRONG_KEY, f"{len(wanted) - len(missing)} of {len(wanted)} keys have signed")
    if not reasons:
        return Finding(UNSIGNED, "its list of signatures is empty")
    return Finding(WRONG_KEY, reasons[0])


def _signatures(registries: Registries, image: references.Reference, manifest: bytes) -> Iterator[_Signature]:
    layers = parsed(manifest).get("layers")
    for layer in (layers if isinstance(layers, list) else [])[:_MOST]:
        if not isinstance(layer, dict) or layer.get("mediaType") != _PAYLOAD:
            continue
        annotations, digest = layer.get("annotations"), layer.get("digest")
        encoded = annotations.get(_ANNOTATION) if isinstance(annotations, dict) else None
        if not isinstance(encoded, str) or len(encoded) > _LARGEST:
            continue
        if not isinstance(digest, str) or not references.DIGEST.fullmatch(digest):
            continue
        try:
            payload = registries.at(image.registry).blob(image.path, digest)
            yield _Signature(payload, b64decode(encoded))
        except NotThere:
            raise Unreachable("the registry has lost the payload of a signature") from None
        except ValueError:  # no base64
            continue


def _is_about_other(payload: bytes, image: references.Reference, digest: str) -> str:
    """Why a payload that is signed well says nothing of this image; empty where it does."""
    try:
        critical = json.loads(payload)["critical"]
        named = critical["image"]["docker-manifest-digest"]
        repository = references.parse(str(critical["identity"]["docker-reference"])).repository
    except (ValueError, KeyError, TypeError, RecursionError):
        return "what is signed is no payload of cosign"
    if named != digest:
        return "the signature is of another image"
    if repository != image.repository:
        return f"the signature is of {repository}, not of this repository"
    return ""


def _without_classic(registries: Registries, image: references.Reference, digest: str) -> Finding:
    """What is to be said where there is no classic signature: nothing at all, or one of another kind."""
    registry = registries.at(image.registry)
    # Registries before 1.1 of the specification keep the list under a tag.
    for ask in (registry.referrers, lambda path, what: registry.manifest(path, what.replace(":", "-"))):
        try:
            listed = parsed(ask(image.path, digest)).get("manifests")
        except NotThere:
            continue
        for entry in listed if isinstance(listed, list) else ():
            kinds = _kinds(entry) if isinstance(entry, dict) else ""
            if _OTHERS.search(kinds):
                return Finding(
                    UNVERIFIABLE, f"it has a signature of a kind that cannot be verified here: {kinds[:80]}"
                )
    return Finding(UNSIGNED, "the registry has no signature of it")


def _kinds(entry: dict[str, Any]) -> str:
    return "{} {}".format(entry.get("artifactType") or "", entry.get("mediaType") or "").strip()


def _openssl(*arguments: str, data: bytes = b"") -> tuple[int, str]:
    """Exit code of `openssl`, and what it printed."""
    try:
        outcome = subprocess.run(
            [_OPENSSL, *arguments],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=30,
            check=False,
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "OPENSSL_CONF": "/dev/null",
            },
        )
    except OSError:
        raise Failed("openssl is missing on this host: install it") from None
    except subprocess.TimeoutExpired:
        raise Failed("openssl did not end in time") from None
    return outcome.returncode, outcome.stdout.decode("utf-8", "replace")
