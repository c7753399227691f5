"""Decide whether an image is signed as the policy requires."""

from __future__ import annotations

from itertools import chain
from typing import Sequence

from . import references, statements
from .findings import UNSIGNED, UNVERIFIABLE, VERIFIED, WRONG_KEY, Finding
from .keys import Keys
from .registry import Registries


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
