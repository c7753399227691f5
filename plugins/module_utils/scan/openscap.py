"""Evaluate the host against a benchmark of its operating system with OpenSCAP, if it is installed."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from ..host import limits
from ..host.errors import Absent, Failed
from ..host.run import PATH, find_program, run
from ..host.text import one_line
from .inventory import Release

CONTENT = "/usr/share/xml/scap/ssg/content"
DEFAULT = "cis_level1_server"
_XCCDF = "{http://checklists.nist.gov/xccdf/1.2}"
_PROFILE = re.compile(r"[a-z0-9_]{1,60}")
_LIMIT = 1200  # seconds
_LARGEST = 256 * 1024 * 1024
_MAX_FAILED = 2000
_DECIDED = ("pass", "fail", "fixed")
PREFIX = "xccdf_org.ssgproject.content_"
PROFILE = "xccdf_hardener_profile_docker-host"

_FORWARDING = "the engine forwards packets between containers and the network"
_UFW = (
    "packets to containers bypass the chains of ufw; the role `firewall` adds chains next to those of Docker"
)
_LAYERS = "the rule searches layers of images and containers, whose files do not belong to users of this host"

# Rules whose remediation stops containers, and rules that walk through image layers: these hold millions of
# files of other systems, whose owners and modes do not concern this host.
LEFT_OUT = {
    "kernel_module_overlayfs_disabled": "images and containers are mounted by overlayfs",
    "sysctl_net_ipv4_ip_forward": _FORWARDING,
    "sysctl_net_ipv4_conf_all_forwarding": _FORWARDING,
    "sysctl_net_ipv4_conf_default_forwarding": _FORWARDING,
    "sysctl_net_ipv6_conf_all_forwarding": _FORWARDING,
    "sysctl_net_ipv6_conf_default_forwarding": _FORWARDING,
    "check_ufw_active": _UFW,
    "package_ufw_installed": _UFW,
    "service_ufw_enabled": _UFW,
    "ufw_default_incoming_rule": _UFW,
    "ufw_default_outgoing_rule": _UFW,
    "ufw_disabled_routed": _UFW,
    "dir_perms_world_writable_root_owned": _LAYERS,
    "dir_perms_world_writable_sticky_bits": _LAYERS,
    "file_permissions_unauthorized_world_writable": _LAYERS,
    "file_permissions_ungroupowned": _LAYERS,
    "no_files_unowned_by_user": _LAYERS,
}


def evaluate(release: Release, *, profile: str = "", content: str = "") -> dict[str, Any]:
    """Return tool, content, profile, the number of rules by result, and the failing rules.

    Args:
        release: the host's.
        profile: its short name, ``cis_level1_server``.
        content: the data stream; else that of scap-security-guide for this very release.

    Raises:
        Failed, Absent: it could not be evaluated; no rule that applies is no evaluation either.
    """
    profile = profile or DEFAULT
    if not _PROFILE.fullmatch(profile):
        raise Failed(f"{profile[:60]!r} is not the name of a profile such as {DEFAULT}")
    oscap = find_program("oscap")
    if oscap is None:
        raise Absent("oscap is not installed: on Debian it is in openscap-scanner, its content in ssg-debian")
    number = release.version.replace(".", "")
    content = content or os.path.join(CONTENT, f"ssg-{release.distribution}{number}-ds.xml")
    if not os.path.isfile(content):
        raise Absent(f"there is no {one_line(content)}: the content of another release does not apply")
    with tempfile.TemporaryDirectory(prefix="hardener-scan-") as folder:
        results = _run(oscap, content, f"{PREFIX}profile_{profile}", folder)
        found = read(results)
    if not any(found["counts"].get(result) for result in _DECIDED):
        raise Failed(f"no rule of {profile} in {os.path.basename(content)} applies to this host")
    version = run(oscap, "--version", timeout=20).partition("\n")[0]
    return {"tool": one_line(version), "content": os.path.basename(content), "profile": profile, **found}


def _run(oscap: str, content: str, profile: str, folder: str) -> str:
    """Run an evaluation; return the path of its results."""
    results, own = os.path.join(folder, "results.xml"), os.path.join(folder, "tailoring.xml")
    with open(own, "w", encoding="utf-8") as file:
        file.write(tailoring(profile))
    arguments = [
        "xccdf",
        "eval",
        "--tailoring-file",
        own,
        "--profile",
        PROFILE,
        "--results",
        results,
    ]
    try:
        done = subprocess.run(
            [oscap, *arguments, content],
            env={"PATH": PATH, "LC_ALL": "C.UTF-8", "HOME": "/"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=limits.release,  # it reads the host's own content, without our limits
            timeout=_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"oscap did not end within {_LIMIT} s") from None
    except OSError as error:
        raise Failed(f"oscap: {error.strerror}") from None
    if done.returncode not in (0, 2) or not os.path.exists(results):  # 2: a rule fails
        said = done.stderr[-2000:].decode("utf-8", "replace").strip().splitlines()
        raise Failed(f"oscap: {one_line(said[-1]) if said else f'ended with code {done.returncode}'}")
    return results


def read(path: str) -> dict[str, Any]:
    """Return the number of rules by result, and the failing rules, from an XCCDF result file.

    Raises:
        Failed: the file is not an XCCDF result file.
    """
    if os.path.getsize(path) > _LARGEST:
        raise Failed(f"the results are larger than {_LARGEST} bytes")
    titles: dict[str, str] = {}
    counts: dict[str, int] = {}
    failed = []
    try:
        for _event, element in ElementTree.iterparse(path):  # noqa: S314 - oscap has written it, this moment
            if element.tag == f"{_XCCDF}Rule":
                title = element.find(f"{_XCCDF}title")
                titles[element.get("id", "")] = one_line(
                    "".join(title.itertext()) if title is not None else ""
                )
                element.clear()
            elif element.tag == f"{_XCCDF}rule-result":
                rule, result = element.get("idref", ""), element.findtext(f"{_XCCDF}result") or "unknown"
                counts[result] = counts.get(result, 0) + 1
                if result == "fail":
                    severity = one_line(element.get("severity", "unknown"))
                    name = one_line(rule.replace(f"{PREFIX}rule_", ""))
                    failed.append({"id": name, "severity": severity, "title": titles.get(rule, "")})
                element.clear()
    except ElementTree.ParseError as error:
        raise Failed(f"the results cannot be read: {error}") from None
    failed.sort(key=lambda each: each["id"])
    return {"counts": counts, "failed": failed[:_MAX_FAILED], "more": max(0, len(failed) - _MAX_FAILED)}


def tailoring(profile: str) -> str:
    """Return the tailoring file that excludes these rules from a SCAP profile, given by its full id."""
    selects = "\n".join(
        f'    <select idref={quoteattr(f"{PREFIX}rule_{rule}")} selected="false"/>' for rule in LEFT_OUT
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Tailoring xmlns="http://checklists.nist.gov/xccdf/1.2" id="xccdf_hardener_tailoring_docker-host">
  <version time="2026-11-25T00:00:00">1</version>
  <Profile id="{PROFILE}" extends={quoteattr(profile)}>
    <title>Docker host</title>
{selects}
  </Profile>
</Tailoring>
"""
