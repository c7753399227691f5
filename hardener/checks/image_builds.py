"""Section 4, images: check the build history."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from hardener.checks import check
from hardener.checks.lib.build_history import Command, Step, commands, steps
from hardener.checks.lib.containers import containers
from hardener.checks.lib.local_images import NO_IMAGES, Image, image_check, images
from hardener.checks.lib.rule import Note, Question, judge_all
from hardener.checks.lib.verdicts import needs_engine
from hardener.model import Verdict
from hardener.snapshot import Snapshot
from hardener.text import shorten

# The commands of package managers that only fetch the index.
_REFRESHES = {
    "apk": {"update"},
    "apt": {"update"},
    "apt-get": {"update"},
    "aptitude": {"update"},
    "dnf": {"makecache"},
    "microdnf": {"makecache"},
    "opkg": {"update"},
    "tdnf": {"makecache"},
    "yum": {"makecache"},
    "zypper": {"ref", "refresh"},
}
_CLEANING = frozenset({"autoclean", "autoremove", "clean", "dist-clean"})

# Programs that prepare or clean up and install nothing. Any other may have used the index.
_BYSTANDER_WORDS = """
: [ [[ } add-apt-repository apt-key awk case cat cd chmod chown cp curl cut date done echo esac export false
fi find for gpg grep head install ln ls mkdir mv printf pwd rm sed set shopt sleep sort tail tar tee test
touch tr true umask unset wget
"""
_BYSTANDERS = frozenset(_BYSTANDER_WORDS.split())

# Options to install unsigned software, by program; the others are settings in any text.
_UNVERIFIED_OPTIONS = {
    "apk": {"--allow-untrusted"},
    "apt": {"--allow-unauthenticated", "--allow-insecure-repositories", "--force-yes"},
    "apt-get": {"--allow-unauthenticated", "--allow-insecure-repositories", "--force-yes"},
    "curl": {"--insecure"},
    "dnf": {"--nogpgcheck"},
    "microdnf": {"--nogpgcheck"},
    "pip": {"--trusted-host"},
    "pip3": {"--trusted-host"},
    "rpm": {"--nodigest", "--nosignature"},
    "tdnf": {"--nogpgcheck"},
    "wget": {"--no-check-certificate"},
    "yum": {"--nogpgcheck"},
    "zypper": {"--no-gpg-checks", "--allow-unsigned-rpm"},
}
_SOURCE_OPTIONS = re.compile(r"\[[^\[\]\n]*\]")  # of a line in sources.list
_UNVERIFIED_SETTING = re.compile(
    r"(?:AllowInsecureRepositories|AllowUnauthenticated|AllowDowngradeToInsecureRepositories)"
    r"[\"']?[\s=]+[\"']?(?:1|true|yes)"
    r"|\b(?:repo_)?gpgcheck\s*=\s*(?:0|no|false)"
    r"|\bsslverify\s*=\s*(?:0|no|false)"
    r"|\bSigLevel\s*=\s*(?:Never|TrustAll)",
    re.IGNORECASE,
)
_SET_ID = re.compile(r"[ugoa]*[+=][rwxXt]*s[rwxXst]*|0?[2-7][0-7]{3}")
# Options of curl without a value that may precede k in one word: curl -fsSLk
_CURL_INSECURE = re.compile(r"-[#0-9BGIJLMNORSVZafgijlnpqsv]*k")


@image_check("image-no-lone-update", expected="every layer that refreshes a package index installs from it")
def _lone_update(image: Image) -> Iterator[str]:
    """Check that no layer only updates the package index: later cached builds would use the old index."""
    if not image.history:
        yield Note("has no build history")
    for step in steps(image):
        ran = tuple(commands(step))
        refreshed = [command for command in ran if _refreshes(command)]
        if refreshed and not any(_may_install(command) for command in ran):
            yield f"has a layer that only refreshes a package index: {shorten(str(refreshed[0]), 100)}"


def _refreshes(command: Command) -> bool:
    if command.program == "pacman":
        # -Sy with packages installs, with u it upgrades.
        flags = [word for word in command.words if word.startswith("-S")]
        named = [word for word in command.words if not word.startswith("-")]
        return any("y" in flag and "u" not in flag for flag in flags) and not named
    return bool(_REFRESHES.get(command.program, set()) & set(command.words))


def _may_install(command: Command) -> bool:
    if command.program in _REFRESHES or command.program == "pacman":
        verbs = {word for word in command.words if not word.startswith("-")}
        return not _refreshes(command) and not verbs & _CLEANING
    return command.program not in _BYSTANDERS


@image_check("image-copy-not-add", expected="images are built with COPY, not with ADD")
def _added(image: Image) -> Iterator[str]:
    """Check that images use ADD only for the root filesystem that they start from."""
    if not image.history:
        yield Note("has no build history")
    layers = [step for step in steps(image) if step.instruction in {"ADD", "COPY", "RUN"}]
    for number, step in enumerate(layers):
        if step.instruction == "ADD" and not (number == 0 and _is_rootfs(step)):
            yield f"is built with ADD {shorten(step.arguments.strip(), 100)}"


def _is_rootfs(step: Step) -> bool:
    """Return whether the first layer is a local archive unpacked into the root, as in every base image."""
    words = step.arguments.split()
    return bool(words) and words[-1] == "/" and "://" not in step.arguments


@image_check(
    "image-verified-packages",
    expected="the signatures of all software in images were checked",
    question="check that the Dockerfile and its scripts verify all software that they fetch",
)
def _unverified(image: Image) -> Iterator[str]:
    """Check that no build command disabled signature checks; a person has to read the scripts."""
    found = False
    for step in steps(image):
        reasons = [f"{command.program} {word}" for command in commands(step) for word in _disabling(command)]
        for reason in (*reasons, *_settings(step)):
            found = True
            yield f"is built without checking signatures: {shorten(reason, 100)}"
    if not found:
        yield Question(
            "has no command in its build history that disables signature checks"
            if image.history
            else "has no build history"
        )


def _settings(step: Step) -> Iterator[str]:
    """Return the first setting that a RUN step writes to disable signature checks."""
    if step.instruction == "RUN":
        found = _UNVERIFIED_SETTING.search(step.arguments)
        trusted = (
            each[0] for each in _SOURCE_OPTIONS.finditer(step.arguments) if "trusted=yes" in each[0].lower()
        )
        yield from ((found[0],) if found else islice(trusted, 1))


def _disabling(command: Command) -> Iterator[str]:
    options = _UNVERIFIED_OPTIONS.get(command.program, set())
    for word in command.words:
        name = word.partition("=")[0]
        if name in options or (command.program == "curl" and _CURL_INSECURE.match(word)):
            yield word


@check("image-no-setuid")
@needs_engine
def no_setuid(snapshot: Snapshot) -> Verdict:
    """Check set-uid programs: a person lists them, as no API reports the modes of an image's files."""
    hardened: dict[str, bool] = {}
    for container in containers(snapshot):
        effective = not container.error and (container.facts or {}).get("no_new_privs") == 1
        hardened[container.image_id] = hardened.get(container.image_id, True) and effective

    def judge(image: Image) -> Iterator[str]:
        yield Question(_set_id_history(image))
        if hardened.get(image.id):
            yield Note(
                "all its containers run with no_new_privs, so that set-uid programs gain no privileges"
            )

    return judge_all(
        images(snapshot),
        judge,
        expected="images hold no set-uid or set-gid programs",
        no_subjects=NO_IMAGES,
        question="list them per image: docker run --rm --entrypoint find IMAGE / -xdev -perm /6000 -type f",
    )


def _set_id_history(image: Image) -> str:
    for step in steps(image):
        for command in commands(step):
            if command.program == "chmod" and any(
                _SET_ID.fullmatch(part) for word in command.words for part in word.split(",")
            ):
                return f"sets set-uid or set-gid bits in its build history: {shorten(str(command), 100)}"
    return "sets no set-uid or set-gid bit in its build history" if image.history else "has no build history"
