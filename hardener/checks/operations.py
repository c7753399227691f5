"""Section 6, operations: check for unused images and containers."""

from __future__ import annotations

from collections.abc import Sequence

from hardener.checks import check
from hardener.checks.lib import fields, policy
from hardener.checks.lib.containers import SOURCE, Container, containers, readable
from hardener.checks.lib.local_images import images
from hardener.checks.lib.verdicts import count, failed, manual, needs_engine, passed
from hardener.model import Offender, Verdict
from hardener.snapshot import Snapshot


@check("ops-image-sprawl")
@needs_engine
def image_sprawl(snapshot: Snapshot) -> Verdict:
    """Check the number of unused images: they are not updated, and can be started by mistake."""
    used = {container.image_id for container in containers(snapshot)}
    everything = images(snapshot)
    unused = [image for image in everything if image.id not in used]
    return _sprawl(
        [
            Offender(image.kind, image.name, f"is used by no container: {image.size}, built {image.created}")
            for image in unused
        ],
        policy.limit(snapshot, "max_unused_images"),
        key="max_unused_images",
        what=f"{len(unused)} of {count(len(everything), 'image')} used by no container",
        checked=len(everything),
    )


@check("ops-container-sprawl")
@needs_engine
def container_sprawl(snapshot: Snapshot) -> Verdict:
    """Check the number of containers that are not running."""
    everything, unread = readable(snapshot)
    stopped = [container for container in everything if not container.running]
    most = policy.limit(snapshot, "max_stopped_containers")
    if unread and (most is None or len(stopped) <= most):
        raise unread
    return _sprawl(
        [_stopped_container(container) for container in stopped],
        most,
        key="max_stopped_containers",
        what=f"{len(stopped)} of {count(len(everything), 'container')} not running",
        checked=len(everything),
    )


def _stopped_container(container: Container) -> Offender:
    state = fields.required(container.inspect, "State", SOURCE)
    status = fields.text(state, "Status", SOURCE) or "not running"
    since = fields.text(state, "FinishedAt", SOURCE)[:10]
    # The engine writes the year 1 for "never".
    when = "" if since in {"", "0001-01-01"} else f" since {since}"
    return Offender(container.kind, container.name, f"is {status}{when}")


def _sprawl(unused: Sequence[Offender], limit: int | None, *, key: str, what: str, checked: int) -> Verdict:
    expected = f"no more than hardener_policy.{key}" + ("" if limit is None else f" ({limit})")
    if not unused or (limit is not None and len(unused) <= limit):
        return passed(
            expected, what, evidence=[f"{each.name} {each.detail}" for each in unused], checked=checked
        )
    if limit is None:
        look_at = f"{what}: remove those that are not needed, or raise hardener_policy.{key}"
        return manual(expected, look_at, offenders=unused, checked=checked)
    return failed(expected, what, offenders=unused, checked=checked)
