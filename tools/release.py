"""Build the files of a release from its signed tag, and sign their checksums: ``release.py FOLDER KEY``.

KEY is the file of a private ssh key, or of a public one whose private half is in the agent. Its public half
is in ``docs/release-signers`` of the tagged commit: users verify the tag and the files by it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hardener import __version__
from tools import package
from tools.tracked import git

SIGNERS = "docs/release-signers"
TAG = f"v{__version__}"
_NAMESPACE, _SIGNER = ("-n", "file"), ("-I", "release@hardener")


def release(source: Path, target: Path, key: Path, *, with_debian: bool = True) -> list[Path]:
    """Build all files of a release into a folder, sign their checksums, and return the files.

    Args:
        source: a work tree of git without changes, at the tag of the version.
        target: the folder.
        key: the file of the key.
        with_debian: whether the Debian package is built too.

    Raises:
        SystemExit: the work tree is not that of the release, or the key is not one of its signers.
    """
    signers = source / SIGNERS
    trusted = ("-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={signers}")
    changelog = (source / "CHANGELOG.md").read_text(encoding="utf-8")
    _require(not git(source, "status", "--porcelain"), "the work tree has changes: commit them first")
    _require(TAG in git(source, "tag", "--points-at").split(), f"this commit has no tag {TAG}")
    _require(
        _succeeds("git", "-C", str(source), *trusted, "verify-tag", TAG),
        f"no key of {SIGNERS} has signed {TAG}",
    )
    _require(f"\n## [{__version__}] - " in changelog, f"CHANGELOG.md has no section {__version__}")
    *files, sums = package.build(source, target, with_debian=with_debian)
    signature = target / package.SIGNATURE
    _require(
        _succeeds("ssh-keygen", "-Y", "sign", *_NAMESPACE, "-f", str(key), str(sums)),
        f"{sums} could not be signed with {key}",
    )
    verify = ("ssh-keygen", "-Y", "verify", "-f", str(signers), *_SIGNER, *_NAMESPACE, "-s", str(signature))
    if not _succeeds(*verify, data=sums.read_bytes()):
        signature.unlink()
        sys.exit(f"release: {key} is not a key of {SIGNERS}")
    return [*files, sums, signature]


def _succeeds(*command: str, data: bytes = b"") -> bool:
    return subprocess.run(command, input=data, check=False).returncode == 0


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        sys.exit(f"release: {otherwise}")


if __name__ == "__main__":
    for built in release(package.ROOT, Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute()):
        print(built)
