"""Errors of a transaction: refused before a change, failed after one."""


class Refused(Exception):  # noqa: N818 - a decision, not a defect
    """The request is invalid or the host does not allow it. Nothing has been changed."""


class Failed(Exception):  # noqa: N818 - a state of the world
    """An error after the first change. What was changed has to be restored."""
