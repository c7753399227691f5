"""Trees of folders, files and links of several users; and what root may touch in them, by rules of their own.

The oracle never looks at the file system. It goes by the description that the tree was made from, and by text
alone, so that it shares nothing with what it judges.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from pathlib import Path

EVE = 4711
NAMES = "abc"


@dataclass
class Node:
    """An entry: a folder with ``children``, a link with a ``target``, or a file."""

    uid: int = 0
    mode: int = 0o755
    children: dict[str, Node] | None = None
    target: str = ""

    @property
    def is_link(self) -> bool:
        return bool(self.target)

    @property
    def is_folder(self) -> bool:
        return self.children is not None


@dataclass
class Tree:
    """A folder at ``top`` that root alone can write, and everything below it."""

    top: str
    root: Node
    twins: set[str] = field(default_factory=set)  # paths of files that have two names

    def node(self, path: str) -> Node | None:
        """What has a path without links in it."""
        found: Node | None = self.root
        for name in filter(None, path.split("/")):
            found = (found.children or {}).get(name) if found is not None else None
        return found


def grown(top: Path, dice: random.Random) -> Tree:
    """Make a random tree on disk."""
    root = Node(children={})
    tree = Tree(str(top), root)
    paths = ["/elsewhere/" + "/".join(dice.choices(NAMES, k=dice.randint(1, 3))) for _ in range(2)]
    _grow(tree, root, dice, depth=3, paths=paths)
    top.mkdir()
    _make(tree, root, "")
    return tree


def _grow(tree: Tree, folder: Node, dice: random.Random, *, depth: int, paths: list[str]) -> None:
    assert folder.children is not None
    for name in NAMES:
        uid = dice.choice((0, 0, 0, EVE))
        what = dice.random()
        if what < 0.55 and depth:
            mode = dice.choice((0o755, 0o755, 0o755, 0o700, 0o775, 0o777, 0o1777, 0o1775))
            child = Node(uid, mode, children={})
            _grow(tree, child, dice, depth=depth - 1, paths=paths)
        elif what < 0.75:
            steps = "/".join(dice.choices((*NAMES, *NAMES, "..", "."), k=dice.randint(1, 3)))
            child = Node(uid, target=dice.choice((steps, f"{tree.top}/{steps}".replace("/..", ""))))
        elif what < 0.95:
            child = Node(uid, dice.choice((0o644, 0o4755, 0o600)))
        else:
            continue
        folder.children[name] = child


def _make(tree: Tree, node: Node, path: str) -> None:
    here = Path(tree.top + path)
    for name, child in (node.children or {}).items():
        entry = here / name
        if child.is_link:
            entry.symlink_to(child.target)
        elif child.is_folder:
            entry.mkdir()
            _make(tree, child, f"{path}/{name}")
        else:
            entry.write_text(f"{path}/{name}")
            if child.mode == 0o600:  # has a second name, out of sight
                os.link(entry, f"{tree.top}.{path.replace('/', '_')}_{name}")
                tree.twins.add(f"{path}/{name}")
        os.lchown(entry, child.uid, child.uid)
        if not child.is_link:
            entry.chmod(child.mode)


def verdict(tree: Tree, path: str) -> tuple[str, str]:
    """What a path means for root: ``touch`` and what is meant, ``missing`` and where, ``refused``, ``wrong``.

    ``unknown`` is what leaves the tree.
    """
    done: list[str] = []
    waiting = [name for name in path.split("/") if name not in ("", ".")]
    followed = 0
    while waiting:
        name, *waiting = waiting
        if name == "..":
            if not done:
                return "unknown", ""
            done.pop()
            continue
        node = tree.node("/".join([*done, name]))
        if node is None:
            rest = [*done, name, *waiting]
            return ("wrong", "") if ".." in waiting else ("missing", "/" + "/".join(rest))
        if node.is_link:
            followed += 1
            if followed > 40:
                return "wrong", ""
            if node.uid != 0 or not _roots_alone(tree, done):
                return "refused", "/" + "/".join([*done, name])
            target = node.target
            if target.startswith("/"):
                done, target = [], target[len(tree.top) :]
            waiting = [each for each in target.split("/") if each not in ("", ".")] + waiting
            continue
        if waiting and not node.is_folder:
            return "wrong", ""
        done.append(name)
    found = "/" + "/".join(done)
    if found in tree.twins and not _roots_alone(tree, done[:-1]):
        return "refused", found
    return "touch", found


def _roots_alone(tree: Tree, folder: list[str]) -> bool:
    """Whether root alone says what is called what in a folder: all the way down to it, and in it."""
    for length in range(len(folder) + 1):
        here = tree.node("/".join(folder[:length]))
        assert here is not None
        shared = here.uid != 0 or here.mode & 0o020 or here.mode & 0o002
        if not shared:
            continue
        if length == len(folder):
            return False
        below = tree.node("/".join(folder[: length + 1]))
        assert below is not None
        if here.uid != 0 or not here.mode & 0o1000 or below.uid != 0:
            return False
    return True


def picture(folder: str) -> dict[str, tuple[int, ...]]:
    """Everything below a folder: kind and mode, owner, group, which file it is, when it was written."""
    found: dict[str, tuple[int, ...]] = {}
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                found[entry.path] = (
                    *(status.st_mode, status.st_uid, status.st_gid),
                    *(status.st_ino, status.st_mtime_ns),
                )
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
    return found
