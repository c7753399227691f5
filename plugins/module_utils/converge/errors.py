"""Errors of a transaction: a refusal before the first change, and a failure that may leave changes."""


class Refused(Exception):  # noqa: N818 - a decision, not a defect
    """The request is invalid or the host does not allow it. Nothing has been changed."""


class Failed(Exception):  # noqa: N818 - a state of the world
    """An operation on the host did not succeed. Whatever was changed before has to be restored."""
