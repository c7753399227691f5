"""Section 4, images: as whom they run, where they come from, what they declare and give away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from hardener.checks import check, policy, shapes
from hardener.checks.containers import SOURCE as CONTAINERS
from hardener.checks.containers import Container, containers
from hardener.checks.every import Note, Question, every
from hardener.checks.local_images import NO_IMAGES, SOURCE, Image, images, is_registry, repository_name
from hardener.checks.secrets import secrets_in
from hardener.checks.trust_record import Record, last_verification
from hardener.checks.verdicts import failed, needs_engine, not_applicable, passed
from hardener.model import Verdict
from hardener.snapshot import FactUnavailable, Snapshot, version_tuple

# Packages that bring the docker client, by how surely they do.
_CLIENT_PACKAGES = (
    "docker-ce-cli",
    "docker-cli",
    "moby-cli",
    "docker.io",
    "docker-ce",
    "docker",
    "moby-engine",
)
_CONTENT_TRUST_ENDS = (29,)  # the client stopped reading the variable in 29.0
# What every login reads. An interactive shell's file or root's own leaves jobs and other people out.
_EVERYBODY = re.compile(r"/etc/environment|/etc/profile|/etc/profile\.d/[^/]+")


@check("image-non-root-user")
@needs_engine
def non_root_user(snapshot: Snapshot) -> Verdict:
    """No container runs as the host's root, and no image without container would."""
    everyone = containers(snapshot)
    used = {container.image_id for container in everyone}
    unused = tuple(image for image in images(snapshot) if image.id not in used)
    subjects: Sequence[Container | Image] = (*everyone, *unused)
    return every(
        subjects,
        lambda subject: _as_root(subject, snapshot),
        expected="the first process of every container is not root on the host, nor would an image's be",
        nobody="there are no containers and no images",
        ask="is the user behind each of these names not root (its image's /etc/passwd says so)",
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
    user = shapes.text(subject.config, "User", SOURCE)
    name = user.partition(":")[0]
    if not remapped and _is_root(name):
        yield f"is set to run as root (user {user!r})" if user else "is set to run as root (no user set)"
    elif not re.fullmatch(r"[+-]?\d+", name) and name not in {"", "root"}:
        doubt = f"is set to run as {name!r}; the uid behind that name shows only while it runs"
        yield Note(doubt) if remapped else Question(doubt)  # a remapped one is not root's, whatever it is


def _runs_as_root(container: Container) -> Iterator[str]:
    """The kernel's word: the effective uid of the first process as the host sees it.

    Whatever the image declares, an entrypoint may have dropped root, and a remapped root is not the host's.
    """
    user = shapes.text(container.config, "User", CONTAINERS)
    if container.fact("uid") == 0:
        declared = f", declared user {user!r}" if user and not _is_root(user.partition(":")[0]) else ""
        yield f"runs as root on the host{declared}"
    elif _is_root(user.partition(":")[0]):
        yield Note(f"starts as root inside and runs as uid {container.fact('uid')} of the host")


def _is_root(name: str) -> bool:
    """As the engine reads it: empty is root, and any spelling of zero (``00``, ``+0``)."""
    return name in {"", "root"} or bool(re.fullmatch(r"[+-]?0+", name))


@check("image-trusted-base")
@needs_engine
def trusted_base(snapshot: Snapshot) -> Verdict:
    """Every image is what a registry or repository has that the site approved."""
    approved = policy.texts(snapshot, "registries")
    places = None if approved is None else tuple(_place(entry) for entry in approved)
    record = last_verification(snapshot)

    def judge(image: Image) -> Iterator[str]:
        origins = sorted({repository_name(digest) for digest in image.digests})
        if record and image.id in record.images:  # what the registry says, and not the engine alone
            yield from record.images[image.id].origin()
        elif places is None:
            yield Question(f"comes from {', '.join(origins) or 'no registry: it was built or loaded here'}")
        elif not origins:
            # A tag proves nothing: anybody may tag anything on the host.
            yield "comes from no registry: it was built or loaded here"
        if (
            places is not None
            and origins
            and not any(_is_in(origin, place) for origin in origins for place in places)
        ):
            yield f"comes from {', '.join(origins)}, which policy does not name"

    return every(
        images(snapshot),
        judge,
        expected="every image comes from a registry or repository that policy approves",
        nobody=NO_IMAGES,
        ask="is each image's origin approved, and then named in policy",
        evidence=record.told if record else (),
    )


def _place(entry: str) -> str:
    """A prefix of the policy with its registry; one without is on Docker Hub."""
    name = entry.rstrip("/")
    if not name:
        raise policy.unusable("registries", "must name registries or repositories", entry)
    return name if is_registry(name.partition("/")[0]) else repository_name(name)


def _is_in(origin: str, place: str) -> bool:
    return origin == place or origin.startswith(f"{place}/")


@check("image-minimal-packages")
@needs_engine
def minimal_packages(snapshot: Snapshot) -> Verdict:
    """A person judges the packages; size and layers say where to look first."""
    largest_first = sorted(
        images(snapshot), key=lambda image: shapes.number(image.inspect, "Size", SOURCE), reverse=True
    )
    return every(
        largest_first,
        lambda image: [Question(f"{image.size}, {len(image.history)} build steps")],
        expected="images hold no more packages than their workload needs",
        nobody=NO_IMAGES,
        ask="list the packages of each image, largest first",
    )


@check("image-content-trust")
@needs_engine
def content_trust(snapshot: Snapshot) -> Verdict:
    """The docker client asks for signatures when it pulls, where it still can."""
    expected = "DOCKER_CONTENT_TRUST is on for everybody who pulls with a docker client before 29"
    if not snapshot.fact("engine").get("binaries", {}).get("docker"):
        return not_applicable(
            "there is no docker client here, and only clients ask for signatures: verify images elsewhere"
        )
    version, origin = _client_version(snapshot)
    if version >= _CONTENT_TRUST_ENDS:
        record = last_verification(snapshot)
        if record and record.is_current:
            return _verified(snapshot, record)
        return not_applicable(
            f"{origin} knows no content trust any more: verify signatures with cosign or notation instead",
            evidence=tuple(_set_in(snapshot)),
        )
    settings = [
        entry for entry in snapshot.fact("environment") if entry.get("name") == "DOCKER_CONTENT_TRUST"
    ]
    facts = (
        f"client: {origin}",
        *_set_in(snapshot),
        "asked by the client alone: a pull over the API or with --disable-content-trust is not checked",
    )
    off = [entry for entry in settings if not _is_on(str(entry.get("value")))]
    if off:
        return failed(expected, f"content trust is turned off in {off[0].get('file')}", evidence=facts)
    if any(_EVERYBODY.fullmatch(str(entry.get("file"))) for entry in settings):
        return passed(expected, f"content trust is on in {settings[0].get('file')}", evidence=facts)
    if settings:
        return failed(expected, f"content trust is on only in {settings[0].get('file')}", evidence=facts)
    return failed(expected, "DOCKER_CONTENT_TRUST is not set for anybody", evidence=facts)


def _set_in(snapshot: Snapshot) -> Iterator[str]:
    for entry in snapshot.fact("environment"):
        yield f"{entry.get('file')}: {entry.get('name')}={entry.get('value')}"


def _is_on(value: str) -> bool:
    """As the client reads it: anything but a plain false is on, and empty counts as not set."""
    return value not in {"", "0", "f", "F", "false", "FALSE", "False"}


def _client_version(snapshot: Snapshot) -> tuple[tuple[int, ...], str]:
    """The client's version from its package; a client that no package brought is as old as the engine."""
    installed = snapshot.fact_or("packages", {}).get("installed") or {}
    for package in _CLIENT_PACKAGES:
        if installed.get(package):
            text = str(installed[package])
            # Debian puts an epoch in front: 5:28.5.2-1
            version, origin = version_tuple(text.rpartition(":")[2]), f"{package} {text}"
            break
    else:
        version, origin = snapshot.engine_version, "a client of the engine's version"
    if not version:
        raise FactUnavailable("packages", f"the version of {origin} cannot be read")
    return version, origin


@check("image-healthcheck")
@needs_engine
def healthcheck(snapshot: Snapshot) -> Verdict:
    """Every image says how to tell whether its workload is well."""
    return every(
        images(snapshot), _no_healthcheck, expected="every image declares a health check", nobody=NO_IMAGES
    )


def _no_healthcheck(image: Image) -> Iterator[str]:
    test = shapes.texts(shapes.table(image.config, "Healthcheck", SOURCE), "Test", SOURCE)
    if not test:
        yield "declares no health check"
    elif test[0] == "NONE":
        yield "turns the health check of its base off"


@check("image-no-secrets")
@needs_engine
def no_secrets(snapshot: Snapshot) -> Verdict:
    """Nothing that looks like a secret is in what anybody can read of an image."""
    found = secrets_in(snapshot, "image")

    def judge(image: Image) -> Iterator[str]:
        for place in found.get(image.id, ()):
            yield f"gives away what looks like a secret: {place}"

    return every(
        images(snapshot),
        judge,
        expected="no image holds secrets in its environment, labels or history",
        nobody=NO_IMAGES,
        evidence=("searched: environment, labels and build history; not the files in its layers",),
    )


@check("image-signed-artifacts-validated")
@needs_engine
def signed_artifacts(snapshot: Snapshot) -> Verdict:
    """The last verification decides; what it did not see a person does, shown what the engine knows."""
    return _verified(snapshot, last_verification(snapshot))


def _verified(snapshot: Snapshot, record: Record | None) -> Verdict:
    """Every image is signed as the site's policy asks."""

    def judge(image: Image) -> Iterator[str]:
        if record and image.id in record.images:
            yield from record.images[image.id].signature()
        else:
            yield Question(f"{_signature(image)}, {', '.join(image.digests) or 'no registry digest'}")

    return every(
        images(snapshot),
        judge,
        expected="the signature of every artifact was verified before it was used",
        nobody=NO_IMAGES,
        ask="is there a record that the signature of each image was verified",
        evidence=record.told if record else (),
    )


def _signature(image: Image) -> str:
    """What the containerd image store of engine 29.2 and later found out."""
    identity = image.inspect.get("Identity")
    signatures = identity.get("Signature") if isinstance(identity, Mapping) else None
    return f"the engine saw the signatures {signatures}" if signatures else "no signature seen by the engine"
