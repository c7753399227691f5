"""Define the statuses of an image, and the errors of a verification."""

from __future__ import annotations

from typing import NamedTuple

# Statuses that pass, in the order of what they prove.
VERIFIED = "verified"  # signed by a key of the policy, and the registry has the same image
PINNED = "pinned"  # the policy names its digest, and the registry has the same image
ALLOWED = "allowed"  # the policy requires only the registry, which has the same image
EXEMPT = "exempt"  # an exception of the policy, until a day

SWAPPED = "swapped-image"  # the registry has another image under the claimed digest
WRONG_KEY = "wrong-key"  # there are signatures, but none by a key of the policy
UNSIGNED = "unsigned"  # there is no signature
UNVERIFIABLE = "unverifiable"  # there is a signature of a kind that is not verified here
MOVED = "moved-tag"  # a tag refers to something that the policy does not accept
NO_DIGEST = "no-registry-digest"  # built or loaded locally, or missing in the registry
NOT_ALLOWED = "not-allowed"  # the policy has no such registry or repository
UNREACHABLE = "unreachable"  # the registry does not answer: nothing is known

GOOD = (VERIFIED, PINNED, ALLOWED)
# Of several digests of an image the best counts; if none passes, the most informative one.
ORDER = (
    *GOOD,
    SWAPPED,
    WRONG_KEY,
    UNVERIFIABLE,
    UNSIGNED,
    MOVED,
    UNREACHABLE,
    NO_DIGEST,
    NOT_ALLOWED,
)


class Finding(NamedTuple):
    """The finding about one digest, or about one image."""

    status: str
    detail: str
    rule: str = ""  # the policy's prefix that decided
    until: str = ""  # an exception's last day


class PolicyError(Exception):
    """The policy is invalid; the message says what and where."""


class Unreachable(Exception):  # noqa: N818 - it is a state of the world, not a defect
    """The registry cannot be used: no answer, no trusted certificate, no login, an invalid answer."""


class Tampered(Exception):  # noqa: N818 - as above
    """The registry's answer does not have the requested digest."""


class NotFound(Exception):  # noqa: N818 - as above
    """The registry answers that the object does not exist."""
