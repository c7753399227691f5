"""Our own controls on extensions of the engine (NRI plugins, CDI descriptions) and on its own files."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping

from ansible_collections.hardener.docker.plugins.module_utils.docker.keys import (
    CDI_FOLDERS,
    NRI_FOLDERS,
    NRI_SOCKET,
    nri_options,
)

from hardener.checks import check
from hardener.checks.daemon import INFO
from hardener.checks.lib import fields
from hardener.checks.lib.paths import closed_folder, data_root
from hardener.checks.lib.settings import Settings
from hardener.checks.lib.verdicts import count, failed, listed, needs_engine, not_applicable, passed
from hardener.model import Offender, Verdict
from hardener.snapshot import FactUnavailable, JSONObject, Snapshot

_NRI_SINCE, _CDI_SINCE = (29, 2), (25,)
_STICKY, _OTHERS, _GROUP = 0o1000, 0o002, 0o020


@check("daemon-nri-trusted")
@needs_engine
def nri(snapshot: Snapshot) -> Verdict:
    """Check who can install NRI plugins: a plugin can add mounts and environment to every container."""
    expected = "NRI is off, or only root can add a plugin"
    if snapshot.engine_version < _NRI_SINCE:
        return not_applicable("engines before 29.2 have no NRI")
    settings = Settings(snapshot)
    options = _nri_options(settings)
    evidence = settings.evidence("nri-opts")
    if not fields.table(snapshot.info, "NRI", INFO) and not _is_on(options):
        return passed(expected, "NRI is off", evidence=evidence)
    places = [options.get(key) or default for key, default in NRI_FOLDERS.items()]
    socket = options.get(NRI_SOCKET) or ""
    offenders = [*_open_trees(snapshot, places), *(_write_access(snapshot, socket) if socket else ())]
    plugins = [path for path in snapshot.fact("files") if posixpath.dirname(path) == places[0]]
    evidence += [f"plugin: {path}" for path in sorted(plugins)]
    if offenders:
        return _failed(expected, offenders, evidence)
    actual = f"NRI is on with {count(len(plugins), 'plugin')}, and only root can add a plugin"
    return passed(expected, actual, evidence=evidence, checked=len(places))


def _nri_options(settings: Settings) -> Mapping[str, str]:
    """Return the NRI options, given as a flag (``enable=true,socket-path=/x``) or as an object."""
    declared = settings.get("nri-opts")
    # In the file it is an object; words are those of flags.
    is_odd = isinstance(declared.value, list) and not declared.origin.startswith("--")
    options = None if is_odd else nri_options(declared.value)
    if options is None:
        raise FactUnavailable("daemon.config", "nri-opts is not an object")
    return {
        str(key): str(part).lower() if isinstance(part, bool) else str(part) for key, part in options.items()
    }


def _is_on(options: Mapping[str, str]) -> bool:
    return "enable" in options and options["enable"] not in ("false", "0", "f", "F", "FALSE", "False")


@check("file-cdi-specs")
@needs_engine
def cdi(snapshot: Snapshot) -> Verdict:
    """Check who can write CDI descriptions, which name mounts, hooks and environment for containers."""
    expected = "only root can write specifications of devices (CDI)"
    if snapshot.engine_version < _CDI_SINCE:
        return not_applicable("engines before 25.0 read no specifications of devices (CDI)")
    declared = fields.texts(snapshot.info, "CDISpecDirs", INFO)
    if "CDISpecDirs" in snapshot.info and not declared:
        return not_applicable("the engine reads no specifications of devices (CDI is off)")
    declared = declared or Settings(snapshot).entries("cdi-spec-dirs").value
    folders = [posixpath.normpath(path) for path in declared or CDI_FOLDERS]
    existing = [path for path in folders if snapshot.file(path) is not None]
    if not existing:
        return not_applicable(f"there is no folder {' or '.join(folders)}")
    offenders = list(_open_trees(snapshot, existing))
    specs = [path for path in snapshot.fact("files") if posixpath.dirname(path) in existing]
    evidence = [f"specification: {path}" for path in sorted(specs)]
    if offenders:
        return _failed(expected, offenders, evidence)
    actual = f"{', '.join(existing)}: {count(len(specs), 'specification')}, and only root can write here"
    return passed(expected, actual, evidence=evidence, checked=len(existing) + len(specs))


@check("file-engine-own")
@needs_engine
def made_by_the_engine(snapshot: Snapshot) -> Verdict:
    """Check the modes of files that the engine creates: from 29.6 on it runs with umask 0."""
    expected = "no other user or group can write to the files that the daemon creates for itself"
    settings = Settings(snapshot)
    root = str(snapshot.info.get("DockerRootDir") or data_root(snapshot))
    exec_root = str(settings.text("exec-root").value) or "/run/docker"
    pidfile = str(settings.text("pidfile").value) or "/run/docker.pid"
    files: JSONObject = snapshot.fact("files")
    if exec_root not in files:
        raise FactUnavailable("files", f"{exec_root} was not collected")
    own = [
        path
        for path in files
        if path in (root, exec_root, pidfile) or posixpath.dirname(path) in (root, exec_root)
    ]
    offenders = [each for path in sorted(own) for each in _write_access(snapshot, path, owner=False)]
    version = ".".join(map(str, snapshot.engine_version))
    evidence = [f"the engine is {version}; from 29.6 on it runs with umask 0"]
    if offenders:
        return _failed(expected, offenders, evidence)
    return passed(
        expected,
        f"no other user or group can write to the {count(len(own), 'file')} of the daemon",
        evidence=evidence,
    )


def _failed(expected: str, offenders: list[Offender], evidence: list[str]) -> Verdict:
    shown = listed([f"{each.name} {each.detail}" for each in offenders], 3, glue="; ")
    return failed(expected, shown, offenders=offenders, evidence=evidence)


def _open_trees(snapshot: Snapshot, folders: Iterable[str]) -> Iterator[Offender]:
    """Yield what users other than root can change: the folders, their content, and their parents.

    A missing folder can be created in its parent.
    """
    files: JSONObject = snapshot.fact("files")
    seen: set[str] = set()
    for folder in folders:
        record = snapshot.file(folder)
        place = str((record or {}).get("target") or folder)
        inside = [path for path in sorted(files) if path.startswith(f"{folder}/")]
        above = [path for path in _above(place) if files.get(path) is not None]
        # Who may write to the folder in which a missing one belongs can make it, sticky or not.
        strict = [folder, *inside] if record is not None else above[:1]
        for path in [*strict, *above]:
            if path not in seen:
                seen.add(path)
                yield from _write_access(snapshot, path, sticky=path not in strict)


def _above(path: str) -> Iterator[str]:
    while path not in ("/", ""):
        path = posixpath.dirname(path)
        yield path


def _write_access(
    snapshot: Snapshot, path: str, *, owner: bool = True, sticky: bool = False
) -> Iterator[Offender]:
    """Describe why other users can write to a path: no mode lets them below a folder that they cannot search.

    Args:
        snapshot: the host.
        path: a file or folder.
        owner: whether it has to be root's.
        sticky: whether a world-writable folder with the sticky bit is acceptable.
    """
    record = snapshot.file(path)
    if record is None or record.get("type") == "link":
        return
    mode = int(record["mode"], 8)
    kept = sticky and mode & _STICKY
    reasons = []
    if owner and record["uid"] != 0:
        reasons.append(f"belongs to {record.get('owner') or record['uid']}")
    granted = []
    if (mode & _OTHERS or (mode & _GROUP and record["gid"] != 0)) and not kept:
        granted.append(f"has mode {record['mode']} and group {record.get('group') or record['gid']}")
    for entry in record.get("acl") or ():
        if entry.get("id") is not None and "w" in str(entry.get("perms")):
            name = entry.get("name") or entry["id"]
            granted.append(f"has an ACL that gives {entry.get('tag')} {name} {entry['perms']}")
    if granted and not closed_folder(snapshot, path):
        reasons += granted
    if reasons:
        yield Offender("file", path, ", ".join(reasons))
