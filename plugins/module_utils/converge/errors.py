"""The two ways a transaction can end badly."""


class Refused(Exception):  # noqa: N818 - a decision, not a defect
    """The request or the host does not allow it. Nothing has been touched."""


class Failed(Exception):  # noqa: N818 - a state of the world
    """Something went wrong after the first change. What was changed has to be put back."""
