"""Lists of packages as apt leaves them."""

from __future__ import annotations

import time
from pathlib import Path

NOW = 1_795_600_000.0  # 2026-11-25
PACKAGES = """\
Package: openssl
Architecture: amd64
Version: 3.0.22-1~deb12u1
Size: 10

Package: openssl
Architecture: amd64
Version: 3.0.22-1~deb12u2
Size: 10

Package: libssl3
Source: openssl (3.0.22-1~deb12u2)
Architecture: amd64
Version: 3.0.22-1~deb12u2
Size: 7
"""


def day(offset: float) -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S UTC", time.gmtime(NOW + offset * 86400))


def left(
    folder: Path,
    *,
    date: str = "",
    until: str | None = "",
    packages: str = PACKAGES,
    host: str = "m",
    sums: str = "",
) -> None:
    """The lists that apt leaves."""
    lists = folder / "lists"
    lists.mkdir(exist_ok=True)
    name = f"{host}_debian-security_dists_bookworm-security"
    valid = "" if until is None else f"Valid-Until: {until or day(5)}\n"
    head = f"Codename: bookworm-security\nDate: {date or day(-1)}\n{valid}"
    (lists / f"{name}_InRelease").write_text(f"{head}SHA256:\n{sums}")
    if packages:
        (lists / f"{name}_main_binary-amd64_Packages").write_text(packages)
