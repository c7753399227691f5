"""A pure stand-in for a host on which documents are applied: a snapshot becomes the one after the run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.hardener.docker.plugins.module_utils.docker import keys

from hardener.snapshot import Snapshot

_RULES = "/etc/audit/rules.d/"
_DROP_IN = re.compile(r"/etc/systemd/system/(.+)\.d/zz-hardener\.conf")


def applied(snapshot: Snapshot, documents: Sequence[Mapping[str, Any]]) -> Snapshot:
    """The snapshot after the resources and the activations of documents; refused ones change nothing."""
    raw = json.loads(json.dumps(snapshot.raw))
    sources = raw["sources"]
    for document in documents:
        for resource in document.get("resources", ()):
            if resource["kind"] == "attributes":
                _tighten(sources["files"]["data"], resource)
            elif resource["kind"] == "json":
                declared = sources["daemon.config"]["data"]["declared"]
                for key, value in resource["keys"].items():
                    declared[key] = {"value": value, "origin": keys.FILE}
                for key, value in resource["defaults"].items():
                    declared.setdefault(key, {"value": value, "origin": keys.FILE})
            elif resource["kind"] == "file" and resource["path"].startswith(_RULES):
                kept = _data(sources, "audit.persistent", [])
                kept[:] = [entry for entry in kept if entry["file"] != resource["path"]]
                kept.append({"file": resource["path"], "lines": resource["content"].splitlines()})
            elif resource["kind"] == "file" and (unit := _DROP_IN.fullmatch(resource["path"])):
                lines = (line.partition("=") for line in resource["content"].splitlines())
                sources["units"]["data"][unit[1]].update({key: value for key, _, value in lines if value})
        for activation in document.get("activations", ()):
            if activation["name"] == "audit-rules-load":
                _load(sources)
            elif activation["name"] == "docker":
                _restart(sources, activation.get("expect") or {})
    return Snapshot(raw)


def _data(sources: dict[str, Any], name: str, empty: Any) -> Any:
    entry = sources.setdefault(name, {})
    if entry.get("state") != "ok":
        entry.update({"state": "ok", "data": empty})
    return entry["data"]


def _tighten(files: dict[str, Any], resource: Mapping[str, Any]) -> None:
    """Change owner and mode of a file, and what its links show; see who can still replace what."""
    named = files.get(resource["path"])
    if not named:
        return
    real = named.get("target") or resource["path"]
    for path, record in files.items():
        if not record or "mode" not in record or (record.get("target") or path) != real:
            continue
        record["mode"] = f"{int(record['mode'], 8) & int(resource['at_most'], 8):04o}"
        record.update(uid=0, owner="root")
        if resource["group"]:
            record.update(gid=0, group=resource["group"])
        if resource["remove_acl"]:
            record["acl"] = []
    for record in filter(None, files.values()):
        if str(record.get("exchangeable")).partition(" is ")[0] == resource["path"]:
            del record["exchangeable"]


def _restart(sources: dict[str, Any], expect: Mapping[str, Any]) -> None:
    """Bring declared settings into force; a run verifies at the real engine what documents expect."""
    declared = sources["daemon.config"]["data"]["declared"]
    insecure = (declared.get("insecure-registries") or {}).get("value") or []
    info = sources["docker.info"]["data"]
    info.update(expect.get("info") or {})
    info["SecurityOptions"] = [
        *info["SecurityOptions"],
        *(
            f"name={name}"
            for name in expect.get("security") or ()
            if f"name={name}" not in info["SecurityOptions"]
        ),
    ]
    for name, index in info["RegistryConfig"]["IndexConfigs"].items():
        index["Secure"] = name not in insecure
    for network in sources["docker.networks"]["data"]:
        network["Options"] = {**(network.get("Options") or {}), **(expect.get("bridge") or {})}
    for component in sources["docker.version"]["data"]["Components"]:
        component["Details"]["Experimental"] = str(bool(info["ExperimentalBuild"])).lower()
    if (declared.get("userland-proxy") or {}).get("value") is False:
        sources["engine"]["data"]["proxies"] = 0


def _load(sources: dict[str, Any]) -> None:
    """Merge the rules files and load the result, as augenrules does."""
    kept = _data(sources, "audit.persistent", [])
    merged = [entry for entry in sorted(kept, key=lambda entry: entry["file"]) if _RULES in entry["file"]]
    lines = [line for entry in merged for line in entry["lines"]]
    lines.sort(key=lambda line: line.strip() != "-D")  # augenrules moves it to the top
    kept[:] = [*merged, {"file": "/etc/audit/audit.rules", "lines": lines}]
    running = {"rules": [], "status": {"enabled": 1, "failure": 1, "pid": 1, "rate_limit": 0}}
    loaded = _data(sources, "audit.loaded", running)
    loaded["rules"] = [line for line in lines if line.startswith(("-a", "-A", "-w"))]
    for line in lines:
        if line.startswith("-r "):
            loaded["status"]["rate_limit"] = int(line[3:])
