"""Read signed statements about an image in the two forms that cosign stores in a registry.

Classic: a manifest under the tag ``sha256-<digest>.sig``, each layer of which is a payload (JSON that names
digest and repository) with the signature in an annotation; the payload's bytes are signed.

Bundles, written by cosign 3: manifests that refer to the image, each with a bundle (JSON), whose statement
names the digest and no repository; its DSSE encoding is signed.
"""

from __future__ import annotations

import re
from base64 import b64decode
from itertools import islice
from typing import Any, Iterator, NamedTuple

from ..host import limited_json
from . import references
from .findings import NotFound, Unreachable
from .registry import Registry, parsed

_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
_ANNOTATION = "dev.cosignproject.cosign/signature"
_CERTIFICATE = "dev.sigstore.cosign/certificate"
_KIND = "cosign container image signature"
_BUNDLE = "application/vnd.dev.sigstore.bundle"
_IN_TOTO = "application/vnd.in-toto+json"
_SIGNATURE = "https://sigstore.dev/cosign/sign/v1"  # attestations have other types, and are not signatures
_NOTATION = re.compile(r"cncf\.notary\.signature")
_KEYLESS = "a signature with a certificate (keyless)"
_OTHER_IMAGE = "the signature is for another image"
_MOST = 32  # maximum of each form
_LARGEST = 16 * 1024  # bytes of a signature


class Statement(NamedTuple):
    """A signed statement, and whether it is about this image."""

    data: bytes
    signature: bytes
    about_other: str = ""  # why it is not about this image
    unreadable: str = ""  # its kind, if no key of a policy can verify it


def classic(registry: Registry, image: references.Reference, digest: str) -> Iterator[Statement]:
    """Yield statements of the classic form.

    Raises:
        Tampered, Unreachable: of the registry.
    """
    try:
        manifest = registry.manifest(image.path, digest.replace(":", "-") + ".sig")
    except NotFound:
        return
    for layer in _objects(parsed(manifest).get("layers")):
        yield from _payload(registry, image, digest, layer)


def _payload(
    registry: Registry, image: references.Reference, digest: str, layer: dict[str, Any]
) -> Iterator[Statement]:
    if layer.get("mediaType") != _PAYLOAD:
        return
    noted, blob = layer.get("annotations"), layer.get("digest")
    annotations = noted if isinstance(noted, dict) else {}
    signature = _decoded(annotations.get(_ANNOTATION))
    if signature and isinstance(blob, str) and references.DIGEST.fullmatch(blob):
        payload = _blob(registry, image, blob)
        keyless = _KEYLESS if annotations.get(_CERTIFICATE) else ""
        yield Statement(payload, signature, _other_payload(payload, image, digest), keyless)


def bundles(registry: Registry, image: references.Reference, digest: str) -> Iterator[Statement]:
    """Yield the statements in an image's referrers; of a Notation signature, only that it exists.

    Raises:
        Tampered, Unreachable: of the registry.
    """
    # Each referrer of the image may hold many signatures.
    yield from islice(_bundles(registry, image, digest), _MOST)


def _bundles(registry: Registry, image: references.Reference, digest: str) -> Iterator[Statement]:
    for entry in _referring(registry, image, digest):
        child = entry.get("digest")
        if not isinstance(child, str) or not references.DIGEST.fullmatch(child):
            continue
        try:
            manifest = parsed(registry.manifest(image.path, child))
        except NotFound:
            continue
        # A registry's list before 1.1 of the specification lacks the kind, or has another one.
        kinds = f"{entry.get('artifactType')} {manifest.get('artifactType')}"
        if _NOTATION.search(kinds):
            yield Statement(b"", b"", unreadable="notation")
        for layer in _objects(manifest.get("layers")):
            yield from _payload(registry, image, digest, layer)  # the classic form, stored like a bundle
            blob = layer.get("digest")
            if not str(layer.get("mediaType")).startswith(_BUNDLE):
                continue
            if isinstance(blob, str) and references.DIGEST.fullmatch(blob):
                yield from _bundle(_blob(registry, image, blob), digest)


def _referring(registry: Registry, image: references.Reference, digest: str) -> Iterator[dict[str, Any]]:
    """Yield the referrers of a manifest, from the registry's list or from the fallback tag of clients."""
    try:
        yield from _objects(parsed(registry.referrers(image.path, digest)).get("manifests"))
    except NotFound:
        try:
            listed = registry.manifest(image.path, digest.replace(":", "-"))
        except NotFound:
            return
        yield from _objects(parsed(listed).get("manifests"))


def _bundle(data: bytes, digest: str) -> Iterator[Statement]:
    try:
        bundle = limited_json.parse(data)
        envelope = bundle["dsseEnvelope"]
        kind, payload = envelope["payloadType"], b64decode(envelope["payload"], validate=True)
        signatures = [str(each["sig"]) for each in envelope["signatures"][:_MOST]]
        statement = limited_json.parse(payload)
        if statement["predicateType"] != _SIGNATURE:
            return
        if kind != _IN_TOTO:
            raise ValueError("the payload is not an in-toto statement")
        subjects = [each["digest"]["sha256"] for each in statement["subject"]]
        with_key = "publicKey" in bundle["verificationMaterial"]
    except (ValueError, KeyError, TypeError):
        yield Statement(b"", b"", unreadable="a bundle that is not a Sigstore bundle with a DSSE envelope")
        return
    if not with_key:
        yield Statement(b"", b"", unreadable=_KEYLESS)
        return
    other = "" if [digest] == [f"sha256:{subject}" for subject in subjects] else _OTHER_IMAGE
    for each in signatures:
        signature = _decoded(each)
        if signature:
            yield Statement(_pre_authentication(_IN_TOTO.encode(), payload), signature, other)


def _pre_authentication(kind: bytes, payload: bytes) -> bytes:
    """Return the bytes that DSSE signs: an unambiguous encoding of type and payload."""
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _other_payload(payload: bytes, image: references.Reference, digest: str) -> str:
    """Return why a classic payload is not about this image; empty if it is."""
    try:
        critical = limited_json.parse(payload)["critical"]
        named = critical["image"]["docker-manifest-digest"]
        repository = references.parse(str(critical["identity"]["docker-reference"])).repository
        if critical["type"] != _KIND:
            raise ValueError("the payload is not a container signature")
    except (ValueError, KeyError, TypeError):
        return "the signed content is not a payload of cosign"
    if named != digest:
        return _OTHER_IMAGE
    if repository != image.repository:
        return f"the signature is for {repository}, not for the image's repository"
    return ""


def _blob(registry: Registry, image: references.Reference, digest: str) -> bytes:
    try:
        return registry.blob(image.path, digest)
    except NotFound:
        raise Unreachable("the registry no longer has the signed content") from None


def _objects(listed: Any) -> list[dict[str, Any]]:
    """Return the objects of a list, up to the limit."""
    return [each for each in (listed if isinstance(listed, list) else [])[:_MOST] if isinstance(each, dict)]


def _decoded(encoded: Any) -> bytes:
    """Decode a signature; empty if it is invalid."""
    if not isinstance(encoded, str) or len(encoded) > _LARGEST:
        return b""
    try:
        return b64decode(encoded, validate=True)
    except ValueError:
        return b""
