"""Section 4, images: check their user, their origin, their declarations and their secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.hardener.docker.plugins.module_utils.docker import content_trust as client_trust

from hardener.checks import check
from hardener.checks.lib import fields, policy
from hardener.checks.lib.containers import SOURCE as CONTAINERS
from hardener.checks.lib.containers import Container, containers
from hardener.checks.lib.local_images import (
    NO_IMAGES,
    SOURCE,
    Image,
    image_check,
    images,
    is_registry,
    repository_name,
)
from hardener.checks.lib.paths import uses_containerd_store
from hardener.checks.lib.rule import Note, Question, judge_all
from hardener.checks.lib.secrets import secrets_in
from hardener.checks.lib.trust_record import Record, last_verification
from hardener.checks.lib.verdicts import failed, needs_engine, not_applicable, passed
from hardener.model import Verdict
from hardener.snapshot import FactUnavailable, Snapshot, version_tuple

# Files that every login reads; those of interactive shells or of root do not affect jobs and other users.
_EVERYBODY = re.compile(r"/etc/environment|/etc/profile|/etc/profile\.d/[^/]+")


@check("image-non-root-user")
@needs_engine
def non_root_user(snapshot: Snapshot) -> Verdict:
    """Check that no container runs as root of the host, and that no unused image has root as its user."""
    everyone = containers(snapshot)
    used = {container.image_id for container in everyone}
    unused = tuple(image for image in images(snapshot) if image.id not in used)
    subjects: Sequence[Container | Image] = (*everyone, *unused)
    return judge_all(
        subjects,
        lambda subject: _as_root(subject, snapshot),
        expected="no container's first process is root on the host, and no unused image has root as its user",
        no_subjects="there are no containers and no images",
        question="check in the image's /etc/passwd that none of these user names has uid 0",
    )


def _as_root(subject: Container | Image, snapshot: Snapshot) -> Iterator[str]:
    opted_out = False
    if isinstance(subject, Container):
        if subject.running:
            yield from _runs_as_root(subject)
            return
        opted_out = subject.host_config.get("UsernsMode") == "host"
    options = snapshot.security_options
    remapped = "rootless" in options or ("userns" in options and not opted_out)
    user = fields.text(subject.config, "User", SOURCE)
    name = user.partition(":")[0]
    if not remapped and _is_root(name):
        yield f"is set to run as root (user {user!r})" if user else "is set to run as root (no user set)"
    elif not re.fullmatch(r"[+-]?\d+", name) and name not in {"", "root"}:
        doubt = f"is set to run as {name!r}; the uid of that name is known only while it runs"
        yield Note(doubt) if remapped else Question(doubt)  # a remapped uid is never the host's root


def _runs_as_root(container: Container) -> Iterator[str]:
    """Judge whether the first process is root on the host, by its effective uid in the kernel.

    Whatever the image declares, an entrypoint may have dropped root, and a remapped root is not the host's.
    """
    user = fields.text(container.config, "User", CONTAINERS)
    if container.fact("uid") == 0:
        declared = f", declared user {user!r}" if user and not _is_root(user.partition(":")[0]) else ""
        yield f"runs as root on the host{declared}"
    elif _is_root(user.partition(":")[0]):
        yield Note(f"starts as root inside and runs as uid {container.fact('uid')} of the host")


def _is_root(name: str) -> bool:
    """Return whether a user is root to the engine: empty, or any spelling of zero (``00``, ``+0``)."""
    return name in {"", "root"} or bool(re.fullmatch(r"[+-]?0+", name))


@check("image-trusted-base")
@needs_engine
def trusted_base(snapshot: Snapshot) -> Verdict:
    """Check that every image comes from a registry or repository that the site approved."""
    approved = policy.texts(snapshot, "registries")
    places = None if approved is None else tuple(_place(entry) for entry in approved)
    record = last_verification(snapshot)
    by_tag = uses_containerd_store(snapshot)

    def judge(image: Image) -> Iterator[str]:
        origins = sorted({repository_name(digest) for digest in image.digests})
        if record and image.id in record.images:  # confirmed by the registry, not only by the engine
            yield from record.images[image.id].origin()
        elif places is None:
            yield Question(
                f"comes from {', '.join(origins)}"
                if origins
                else "has no registry: it was built or loaded on this host"
            )
        elif not origins:
            # A tag proves nothing: any user of the engine can set it.
            yield "has no registry: it was built or loaded on this host"
        if (
            places is not None
            and origins
            and not any(
                origin == place or origin.startswith(f"{place}/") for origin in origins for place in places
            )
        ):
            yield f"comes from {', '.join(origins)}, which is not in hardener_policy.registries"
        elif places and origins and by_tag and not (record and image.id in record.images):
            yield Question(
                f"is named {', '.join(origins)}; the containerd image store takes that name from the tag, "
                "whatever the origin: run `hardener scan verify`"
            )

    return judge_all(
        images(snapshot),
        judge,
        expected="every image comes from a registry or repository that policy approves",
        no_subjects=NO_IMAGES,
        question="check each image's origin; list approved origins in hardener_policy.registries",
        evidence=record.summary if record else (),
    )


def _place(entry: str) -> str:
    """Complete a prefix of the policy with its registry (by default Docker Hub)."""
    name = entry.rstrip("/")
    if not name:
        raise policy.unusable("registries must name registries or repositories", entry)
    return name if is_registry(name.partition("/")[0]) else repository_name(name)


@check("image-minimal-packages")
@needs_engine
def minimal_packages(snapshot: Snapshot) -> Verdict:
    """Ask a person about the packages of images; size and number of build steps show where to start."""
    largest_first = sorted(
        images(snapshot), key=lambda image: fields.number(image.inspect, "Size", SOURCE), reverse=True
    )
    return judge_all(
        largest_first,
        lambda image: [Question(f"{image.size}, {len(image.history)} build steps")],
        expected="images hold no more packages than their workload needs",
        no_subjects=NO_IMAGES,
        question="list the packages of each image, largest first",
    )


@check("image-content-trust")
@needs_engine
def content_trust(snapshot: Snapshot) -> Verdict:
    """Check that the docker client requests signatures when it pulls, if it still supports that."""
    expected = "DOCKER_CONTENT_TRUST is on for every user of a docker client before 29"
    if not snapshot.fact("engine").get("binaries", {}).get("docker"):
        return not_applicable(
            "no docker client is installed, and only clients verify: verify images where they are pulled"
        )
    version, origin = _client_version(snapshot)
    if version >= (client_trust.ENDS,):
        record = last_verification(snapshot)
        if record and record.is_current:
            return _verified(snapshot, record)
        return not_applicable(
            f"{origin} no longer has content trust: verify signatures with cosign or notation instead",
            evidence=tuple(_set_in(snapshot)),
        )
    settings = [entry for entry in snapshot.fact("environment") if entry.get("name") == client_trust.VARIABLE]
    facts = (
        f"client: {origin}",
        *_set_in(snapshot),
        "only the client verifies: a pull over the API or with --disable-content-trust is not checked",
    )
    off = [entry for entry in settings if not client_trust.is_on(str(entry.get("value")))]
    if off:
        return failed(expected, f"content trust is turned off in {off[0].get('file')}", evidence=facts)
    if any(_EVERYBODY.fullmatch(str(entry.get("file"))) for entry in settings):
        return passed(expected, f"content trust is on in {settings[0].get('file')}", evidence=facts)
    if settings:
        return failed(expected, f"content trust is on only in {settings[0].get('file')}", evidence=facts)
    return failed(expected, "DOCKER_CONTENT_TRUST is not set for any user", evidence=facts)


def _set_in(snapshot: Snapshot) -> Iterator[str]:
    for entry in snapshot.fact("environment"):
        yield f"{entry.get('file')}: {entry.get('name')}={entry.get('value')}"


def _client_version(snapshot: Snapshot) -> tuple[tuple[int, ...], str]:
    """Return the client's version from its package; without a package the engine's version."""
    installed = snapshot.fact_or("packages", {}).get("installed") or {}
    origin, text = client_trust.client(installed)
    version = version_tuple(text)
    if not origin:
        version, origin = snapshot.engine_version, "the docker client (assumed to have the engine's version)"
    if not version:
        raise FactUnavailable("packages", f"the version of {origin} cannot be read")
    return version, origin


@image_check("image-healthcheck", expected="every image declares a health check")
def _no_healthcheck(image: Image) -> Iterator[str]:
    test = fields.texts(fields.table(image.config, "Healthcheck", SOURCE), "Test", SOURCE)
    if not test:
        yield "declares no health check"
    elif test[0] == "NONE":
        yield "disables the health check of its base image"


@check("image-no-secrets")
@needs_engine
def no_secrets(snapshot: Snapshot) -> Verdict:
    """Check that nothing in an image's readable metadata looks like a secret."""
    found = secrets_in(snapshot, "image")

    def judge(image: Image) -> Iterator[str]:
        for place in found.get(image.id, ()):
            yield f"contains what looks like a secret: {place}"

    return judge_all(
        images(snapshot),
        judge,
        expected="no image holds secrets in its environment, labels or history",
        no_subjects=NO_IMAGES,
        evidence=("searched: environment, labels and build history; not the files in its layers",),
    )


@check("image-signed-artifacts-validated")
@needs_engine
def signed_artifacts(snapshot: Snapshot) -> Verdict:
    """Check signatures by the last verification; ask a person about images that it does not cover."""
    return _verified(snapshot, last_verification(snapshot))


def _verified(snapshot: Snapshot, record: Record | None) -> Verdict:
    """Check that every image is signed as the site's policy requires."""

    def judge(image: Image) -> Iterator[str]:
        if record and image.id in record.images:
            yield from record.images[image.id].signature()
        else:
            yield Question(f"{_signature(image)}, {', '.join(image.digests) or 'no registry digest'}")

    return judge_all(
        images(snapshot),
        judge,
        expected="the signature of every artifact was verified before it was used",
        no_subjects=NO_IMAGES,
        question="check that a record shows the verified signature of each image",
        evidence=record.summary if record else (),
    )


def _signature(image: Image) -> str:
    """Return the signatures that the containerd image store of engine 29.2 and later reports."""
    identity = image.inspect.get("Identity")
    signatures = identity.get("Signature") if isinstance(identity, Mapping) else None
    return (
        f"the engine reports the signatures {signatures}" if signatures else "the engine reports no signature"
    )
