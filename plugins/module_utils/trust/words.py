"""What can be said of an image, and what can go wrong while asking."""

from __future__ import annotations

from typing import NamedTuple

# Nothing else is a pass. They are in the order of what they prove.
VERIFIED = "verified"  # signed by a key of the policy, and the registry's image is this one
PINNED = "pinned"  # the policy names its digest, and the registry's image is this one
ALLOWED = "allowed"  # the policy asks for no more than the registry, whose image is this one
EXEMPT = "exempt"  # an exception of the policy, until a day

SWAPPED = "swapped-image"  # the registry has another image under the digest that this one claims
WRONG_KEY = "wrong-key"  # there are signatures, and none that counts
UNSIGNED = "unsigned"  # there is none
UNVERIFIABLE = "unverifiable"  # there is one, of a kind that is not verified here
MOVED = "moved-tag"  # a tag leads to something that the policy does not accept
NO_DIGEST = "no-registry-digest"  # built or loaded here, or the registry does not have it
NOT_ALLOWED = "not-allowed"  # the policy names no such registry or repository
UNREACHABLE = "unreachable"  # the registry cannot be asked: nothing is known

GOOD = (VERIFIED, PINNED, ALLOWED)
# Of several digests of an image the best counts; where none is good, the one that tells most.
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
    """What is true of one digest, or of one image."""

    status: str
    detail: str
    rule: str = ""  # the policy's prefix that decided
    until: str = ""  # an exception's last day


class PolicyError(Exception):
    """The policy is none; says what and where."""


class Unreachable(Exception):  # noqa: N818 - it is a state of the world, not a defect
    """The registry cannot be asked: no answer, no trust in its certificate, no login, nonsense."""


class Tampered(Exception):  # noqa: N818 - as above
    """The registry answers something else than the digest says that was asked for."""


class NotThere(Exception):  # noqa: N818 - as above
    """The registry answers that it has no such thing."""
