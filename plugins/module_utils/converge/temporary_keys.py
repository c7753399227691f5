"""Change keys of daemon.json for the duration of a reload or a restart."""

from __future__ import annotations

from typing import Any, Callable, Mapping

from . import files, jsonkeys


class TemporaryKeys:
    """Changes keys of daemon.json during the context, whose end restores the file byte by byte.

    Folders that the file needs exist for that time: a rollback has removed those that the run made.

    Args:
        path: of the file.
        will_write: called with each content before it is written, so that a rollback knows it as ours.
    """

    def __init__(self, path: str, will_write: Callable[[bytes], None]) -> None:
        self._path = path
        self._will_write = will_write
        self._before = files.read(path)
        self._modified = files.modified(path)
        self._missing = files.missing_directories(path)

    def write(self, keys: Mapping[str, Any]) -> None:
        """Add keys to the file; of the keys that it has already, replace only live-restore."""
        data = jsonkeys.parse(self._before.content or b"", self._path)
        data = {**keys, **data, **{key: keys[key] for key in keys if key == "live-restore"}}
        content = jsonkeys.render(data, self._before.content)
        self._will_write(content)
        files.make_folders(self._path)
        like = self._before if self._before.exists else files.own(b"")
        files.replace(self._path, like._replace(content=content), reserved=True)

    def __enter__(self) -> TemporaryKeys:
        return self

    def __exit__(self, *_: object) -> None:
        files.put(self._path, files.read(self._path), self._before, reserved=True)
        files.set_modified(self._path, self._modified)
        files.remove_folders(self._missing)
