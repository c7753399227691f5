"""What a real engine gives by default, as its runtime got it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# ``linux.seccomp`` of Docker 26.1.5 on x86-64: by default, with SYS_ADMIN, with all capabilities, with none.
DEFAULTS: dict[str, Any] = json.loads((Path(__file__).parent / "data/engine_defaults.json").read_text())
CAPABILITIES = frozenset(DEFAULTS["capabilities"])
