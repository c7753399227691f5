"""Conditions of the judges that no oracle can find inverted, and why.

By module: ``function: source of the condition``, as ``mutants`` prints it, and the reason. A condition that
can change a verdict has no place here: widen what the oracle tries or compares. An entry that is about no
condition is an error, and so is one about a condition that an oracle finds.
"""

from __future__ import annotations

from collections.abc import Mapping

EXCUSED: Mapping[str, Mapping[str, str]] = {}
