"""Find mount points of this process's mount namespace."""

from __future__ import annotations

import re


def mounted_below(folder: str) -> list[str]:
    """Return what is mounted in a folder, the innermost mounts first."""
    points = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            # Blanks and similar characters are octal escapes there (proc_pid_mountinfo(5)).
            point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), line.split()[4])
            if point == folder or point.startswith(f"{folder.rstrip('/')}/"):
                points.append(point)
    return sorted(points, key=len, reverse=True)
