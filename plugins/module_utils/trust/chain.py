"""Verify an image: its id against the registry's data, then the registry's digest against the policy."""

from __future__ import annotations

from itertools import chain
from typing import Any, Iterable, Iterator, Mapping, Sequence

from . import references, statements
from .engine import texts
from .findings import (
    ALLOWED,
    EXEMPT,
    GOOD,
    MOVED,
    NO_DIGEST,
    NOT_ALLOWED,
    ORDER,
    PINNED,
    SWAPPED,
    UNREACHABLE,
    UNSIGNED,
    UNVERIFIABLE,
    VERIFIED,
    WRONG_KEY,
    Finding,
    NotFound,
    Tampered,
    Unreachable,
)
from .keys import Keys
from .policy import Policy, Rule
from .registry import Registries, digest_of, parsed

_MOST = 32  # maximum digests of an image to check
_MOST_MANIFESTS = 32  # maximum manifests of a list


class Verifier:
    """Judges images against a policy.

    Args:
        policy: the rules.
        registries: the clients of the registries.
        keys: the policy's keys.
        containerd: whether an id is a manifest's digest, as in the containerd image store.
        today: date for exceptions, ``YYYY-MM-DD`` in UTC.
    """

    def __init__(
        self, policy: Policy, registries: Registries, keys: Keys, *, containerd: bool, today: str
    ) -> None:
        self._policy = policy
        self._registries = registries
        self._keys = keys
        self._containerd = containerd
        self._today = today
        self._accepted: dict[tuple[str, str], Finding] = {}

    def image(self, image: Mapping[str, Any]) -> Finding:
        """Return the finding for an image of the engine: ``Id``, ``RepoTags``, ``RepoDigests``."""
        identity = str(image.get("Id"))
        tags = [tag for tag in texts(image, "RepoTags") if not tag.startswith("<none>")]
        digests = [digest for digest in texts(image, "RepoDigests") if not digest.startswith("<none>")]
        exempt = self.exempt(identity, *tags, *digests)
        if exempt:
            return exempt
        claims = {digest: self._judge_claim(identity, digest) for digest in digests[:_MOST]}
        if not claims:
            return Finding(NO_DIGEST, "the image was built or loaded on this host")
        best = _best(claims.values())
        if best.status not in GOOD:
            return best
        return _best([*self._misnamed(tags, claims)] or [best])

    def exempt(self, *names: str) -> Finding | None:
        """Return the finding for an image that the policy exempts; None if the policy does not exempt it."""
        known = (form for name in names for form in references.forms(name))
        found = self._policy.exemption(known, self._today)
        if found is None:
            return None
        return Finding(EXEMPT, f"until {found.expires}: {found.reason}", until=found.expires)

    def reference(self, image: references.Reference, digest: str) -> Finding:
        """Return the finding for a digest of a repository, without asking the engine."""
        known = (image.repository, digest)
        if known not in self._accepted:
            self._accepted[known] = self._accepts(image, digest)
        return self._accepted[known]

    def _accepts(self, image: references.Reference, digest: str) -> Finding:
        rule = self._policy.rule(image.repository)
        if rule is None:
            return Finding(NOT_ALLOWED, f"the policy does not name {image.repository}")
        if rule.digests:
            if digest in rule.digests:
                return Finding(PINNED, "the policy names the image's digest", rule.prefix)
            return Finding(MOVED, f"{digest[:19]} is not one of the policy's digests", rule.prefix)
        if not rule.keys:
            return Finding(ALLOWED, "no signature is required", rule.prefix)
        found = verify(self._registries, image, digest, keys=self._keys, wanted=rule.keys, every=rule.every)
        return found._replace(rule=rule.prefix)

    def matches(self, identity: str, image: references.Reference, digest: str) -> Iterator[str]:
        """Yield the digests under which the registry has this image, the claimed one first.

        Raises:
            NotFound: the registry has no such digest.
            Unreachable: it cannot be asked.
        """
        registry = self._registries.at(image.registry)
        manifest = parsed(registry.manifest(image.path, digest))
        if self._is_image(identity, digest, manifest):
            yield digest
            return
        listed = manifest.get("manifests")
        for entry in (listed if isinstance(listed, list) else [])[:_MOST_MANIFESTS]:
            child = entry.get("digest") if isinstance(entry, dict) else None
            if not isinstance(child, str) or not references.DIGEST.fullmatch(child):
                continue
            try:
                found = parsed(registry.manifest(image.path, child))
            except NotFound:  # the other architectures may be missing in the registry
                continue
            if self._is_image(identity, child, found):
                yield digest
                yield child
                return

    def _is_image(self, identity: str, digest: str, manifest: Mapping[str, Any]) -> bool:
        if self._containerd:
            return identity == digest
        config = manifest.get("config")
        return isinstance(config, dict) and config.get("digest") == identity

    def _judge_claim(self, identity: str, claimed: str) -> Finding:
        """Return the finding for one digest that the engine claims for an image."""
        try:
            image = references.parse(claimed)
        except ValueError as error:
            return Finding(NO_DIGEST, str(error))
        rule = self._policy.rule(image.repository)
        if rule is None:  # registries that the policy does not name are not queried
            return Finding(NOT_ALLOWED, f"the policy does not name {image.repository}")
        try:
            return self._proven(identity, image, rule)
        except NotFound as error:
            return Finding(
                NO_DIGEST,
                f"{error}: the image was built or loaded here, or removed from the registry",
                rule.prefix,
            )
        except Tampered as error:
            return Finding(SWAPPED, str(error), rule.prefix)
        except Unreachable as error:
            return Finding(UNREACHABLE, str(error), rule.prefix)

    def _proven(self, identity: str, image: references.Reference, rule: Rule) -> Finding:
        found = None
        for digest in self.matches(identity, image, image.digest):
            finding = self.reference(image, digest)
            if found is None or finding.status in GOOD:
                found = finding
            if finding.status in GOOD:
                break
        if found is None:
            detail = f"the registry has another image as {image.digest[:19]}…"
            return Finding(SWAPPED, detail, rule.prefix)
        return found

    def _misnamed(self, tags: list[str], claims: Mapping[str, Finding]) -> Iterator[Finding]:
        """Yield findings for tags whose name the registry does not confirm for this image.

        Each name requires a check in its own repository: another one's result does not apply to it.
        """
        known = {each: finding for digest, finding in claims.items() if (each := _parsed(digest))}
        for tag in tags:
            image = _parsed(tag)
            if image is None:
                continue
            own = {each.digest: finding for each, finding in known.items() if each[:2] == image[:2]}
            if not own:
                origins = ", ".join(sorted({each.repository for each in known}))
                yield Finding(MOVED, f"{tag} was set on this host, for an image of {origins}")
                continue
            best = _best(own.values())
            if best.status in GOOD:
                yield from self._moved_tags(image, own, best.rule)
            else:
                yield best._replace(detail=f"as {tag}: {best.detail}")

    def _moved_tags(
        self, image: references.Reference, own: Mapping[str, Finding], rule: str
    ) -> Iterator[Finding]:
        """Yield tags that have moved in the registry to something that the policy does not accept."""
        try:
            now = digest_of(self._registries.at(image.registry).manifest(image.path, image.tag))
            if now in own and own[now].status in GOOD:
                return
            there = self.reference(image, now)
        except Tampered as error:
            there = Finding(SWAPPED, str(error), rule)
        except NotFound:  # the tag was removed; the image is unchanged
            return
        except Unreachable as error:
            yield Finding(UNREACHABLE, str(error), rule)
            return
        if there.status not in GOOD:
            detail = f"{image} has digest {now[:19]} in the registry now: {there.detail}"
            yield Finding(UNREACHABLE if there.status == UNREACHABLE else MOVED, detail, rule)


def _best(findings: Iterable[Finding]) -> Finding:
    return min(findings, key=lambda finding: ORDER.index(finding.status))


def _parsed(text: str) -> references.Reference | None:
    try:
        return references.parse(text)
    except ValueError:
        return None


def verify(
    registries: Registries,
    image: references.Reference,
    digest: str,
    *,
    keys: Keys,
    wanted: Sequence[str],
    every: bool,
) -> Finding:
    """Return the finding on whether a digest is signed by one of the required keys, or by all of them.

    Raises:
        Tampered, Unreachable: of the registry.
    """
    registry = registries.at(image.registry)
    asked = set(wanted)
    missing = set(asked)
    reasons, unreadable = [], []
    forms = (statements.classic(registry, image, digest), statements.bundles(registry, image, digest))
    for each in chain.from_iterable(forms):
        found = {key for key in missing if each.signature and keys.signed(key, each.data, each.signature)}
        if not found and each.unreadable:
            unreadable.append(each.unreadable)
        elif not found:
            reasons.append("no key of the policy has made the signature")
        elif each.about_other:
            reasons.append(each.about_other)
        else:
            missing -= found
            if not missing or not every:
                return Finding(VERIFIED, "signed")
    if len(missing) < len(asked):
        return Finding(WRONG_KEY, f"{len(asked) - len(missing)} of {len(asked)} keys have signed")
    if reasons:
        return Finding(WRONG_KEY, reasons[0])
    if unreadable:
        return Finding(UNVERIFIABLE, f"its signature cannot be verified here: {unreadable[0]}")
    return Finding(UNSIGNED, "the registry has no signature of the image")
