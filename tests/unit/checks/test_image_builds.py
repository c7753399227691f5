from __future__ import annotations

from typing import Any

import pytest

from hardener.model import Status
from tests.unit.checks.judging import Judge
from tests.unit.snapshots import hardened, image, with_containers

ROOTFS = "/bin/sh -c #(nop) ADD file:4b1f in / "
UPDATE = "image-no-lone-update"
ADD = "image-copy-not-add"
VERIFIED = "image-verified-packages"
SETUID = "image-no-setuid"


def built(*steps: str, tag: str = "bad:1") -> dict[str, Any]:
    """An image built by these steps, oldest first."""
    history = [{"CreatedBy": step, "Size": 1, "Comment": "", "Id": "<missing>"} for step in reversed(steps)]
    return image(tag, Id=f"sha256:{tag}", history=history)


def verdict_on(judge: Judge, slug: str, *images: dict[str, Any], **others: Any) -> tuple[Status, list[str]]:
    verdict = judge(slug, with_containers(**{"docker.images": [*images]}, **others))
    return verdict.status, [offender.name for offender in verdict.offenders]


LONE = [
    "apt-get update",
    "apt update -y",
    "apt-get -qq -o Acquire::Retries=3 update",
    "set -eux; apt-get update && rm -rf /var/lib/apt/lists/*",
    "sed -i s/a/b/ /etc/apt/sources.list && apt-get update",
    "curl -fsSL https://example.org/key | gpg --dearmor > /k && echo deb x > /l && apt-get update",
    "apk update",
    "apk update && rm -rf /var/cache/apk/*",
    "yum makecache fast",
    "dnf -y makecache",
    "zypper --non-interactive refresh",
    "pacman -Sy",
    "bash -c 'apt-get update'",
    "apt-get update || true",
]
USED = [
    "apt-get update && apt-get install -y nginx",
    "apt-get update\n && apt-get -y upgrade",
    "apt-get update; DEBIAN_FRONTEND=noninteractive apt-get install -y x; rm -rf /var/lib/apt/lists/*",
    "apt-get update && ./install.sh",
    "apt-get update && curl -fsSL https://example.org/install | bash",
    "apk add --no-cache nginx",
    "apk add --update nginx",
    "apk update && apk add nginx",
    "yum update -y",
    "dnf makecache && dnf install -y x",
    "pacman -Sy --noconfirm nginx",
    "pacman -Syu --noconfirm",
    "echo 'apt-get update'",
    "update-ca-certificates",
    "npm update",
    "apt-get update && xargs apt-get install -y < packages",
]
FORMS = [
    "/bin/sh -c {}",
    "RUN /bin/sh -c {} # buildkit",
    "|1 A=b /bin/sh -c {}",
    "RUN |1 A=b /bin/sh -c {} # buildkit",
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("command", LONE)
def test_a_layer_that_only_refreshes_the_index_fails(judge: Judge, form: str, command: str) -> None:
    twin = built(ROOTFS, form.format(USED[0]), tag="good:1")
    bad = built(ROOTFS, form.format(command), "/bin/sh -c apt-get install -y nginx")
    assert verdict_on(judge, UPDATE, twin, bad) == (Status.FAIL, ["bad:1"])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("command", USED)
def test_an_index_update_with_an_installation_in_one_step_passes(
    judge: Judge, form: str, command: str
) -> None:
    assert verdict_on(judge, UPDATE, built(ROOTFS, form.format(command))) == (Status.PASS, [])


def test_long_commands_are_read_to_their_end(judge: Judge) -> None:
    bad = built(ROOTFS, "/bin/sh -c " + "echo x; " * 20_000 + "apt-get update")
    assert verdict_on(judge, UPDATE, bad) == (Status.FAIL, ["bad:1"])


@pytest.mark.parametrize(
    "step",
    [
        "/bin/sh -c #(nop) ADD file:77aa in /app/app.jar ",
        "/bin/sh -c #(nop) ADD multi:77aa in /srv/ ",
        "/bin/sh -c #(nop) ADD dir:77aa in / ",
        "ADD https://example.org/app.tar.gz /app # buildkit",
        "ADD --chown=1:1 app.tar.gz /app # buildkit",
        "ADD app /app",
    ],
)
def test_files_copied_by_an_add_instruction_fail(judge: Judge, step: str) -> None:
    twin = built(ROOTFS, "COPY . /app # buildkit", tag="good:1")
    assert verdict_on(judge, ADD, twin, built(ROOTFS, step)) == (Status.FAIL, ["bad:1"])


@pytest.mark.parametrize("step", ["ADD https://example.org/root.tar / # buildkit", "ADD app /app # buildkit"])
def test_an_add_instruction_in_the_only_build_step_fails(judge: Judge, step: str) -> None:
    assert verdict_on(judge, ADD, built(step)) == (Status.FAIL, ["bad:1"])


@pytest.mark.parametrize(
    "steps",
    [
        [ROOTFS, '/bin/sh -c #(nop)  CMD ["bash"]'],
        ["/bin/sh -c #(nop)  ARG RELEASE", "/bin/sh -c #(nop)  LABEL a=b", ROOTFS],
        ["ADD alpine-minirootfs-3.20.0-x86_64.tar.gz / # buildkit", 'CMD ["/bin/sh"]'],
        ["# debian.sh --arch 'amd64' out/ 'bookworm'", "COPY a /a # buildkit"],
        [ROOTFS, "/bin/sh -c echo ADD file:1 in /"],
    ],
)
def test_adding_a_root_filesystem_passes(judge: Judge, steps: list[str]) -> None:
    assert verdict_on(judge, ADD, built(*steps)) == (Status.PASS, [])


@pytest.mark.parametrize(
    "command",
    [
        "apt-get install -y --allow-unauthenticated x",
        "apt-get install --force-yes x",
        "apt-get -o APT::Get::AllowUnauthenticated=true install x",
        "echo 'Acquire::AllowInsecureRepositories \"true\";' > /etc/apt/apt.conf.d/x",
        "echo 'deb [arch=amd64 trusted=yes] http://example.org x main' > /etc/apt/sources.list",
        "apk add --allow-untrusted x.apk",
        "yum install -y --nogpgcheck x",
        "echo gpgcheck=0 >> /etc/yum.repos.d/x.repo",
        "zypper --no-gpg-checks in x",
        "rpm -i --nosignature x.rpm",
        "curl -k https://example.org/x",
        "curl -fsSLk https://example.org/x",
        "curl --insecure https://example.org/x",
        "wget --no-check-certificate https://example.org/x",
        "pip install --trusted-host=example.org x",
    ],
)
def test_a_build_that_disables_verification_of_packages_fails(judge: Judge, command: str) -> None:
    status, names = verdict_on(
        judge, VERIFIED, built(ROOTFS, f"/bin/sh -c {command}"), built(ROOTFS, tag="good:1")
    )
    assert (status, names) == (Status.FAIL, ["bad:1"])


@pytest.mark.parametrize(
    "command",
    [
        "apt-get install -y x",
        "curl -fsSL https://example.org/kernel-k -o k",
        "echo --nogpgcheck",
        "make check",
        "wget -k x",
    ],
)
def test_verification_of_packages_is_manual(judge: Judge, command: str) -> None:
    status, names = verdict_on(judge, VERIFIED, built(ROOTFS, f"/bin/sh -c {command}"))
    assert (status, names) == (Status.MANUAL, ["bad:1"])


class TestSetUid:
    def test_the_manual_verdict_on_set_id_files_names_the_command_that_finds_them(self, judge: Judge) -> None:
        verdict = judge(SETUID, with_containers(**{"docker.images": [built(ROOTFS)]}))
        assert verdict.status is Status.MANUAL
        assert "find IMAGE / -xdev -perm /6000 -type f" in verdict.actual

    @pytest.mark.parametrize("mode", ["u+s", "4755", "02755", "ug+sx", "+s", "a+x,u+s", "u=rwxs"])
    def test_history_that_sets_set_id_bits_is_named(self, judge: Judge, mode: str) -> None:
        bad = built(ROOTFS, f"/bin/sh -c chmod {mode} /bin/x")
        verdict = judge(SETUID, with_containers(**{"docker.images": [bad]}))
        assert (
            f"sets set-uid or set-gid bits in its build history: chmod {mode} /bin/x"
            in verdict.offenders[0].detail
        )

    @pytest.mark.parametrize("mode", ["u-s", "755", "0755", "1777", "a+rx", "4", "u+x"])
    def test_history_without_set_id_bits_is_manual(self, judge: Judge, mode: str) -> None:
        good = built(ROOTFS, f"/bin/sh -c chmod {mode} /bin/x")
        verdict = judge(SETUID, with_containers(**{"docker.images": [good]}))
        assert verdict.offenders[0].detail == "sets no set-uid or set-gid bit in its build history"

    @pytest.mark.parametrize(("privileges", "said"), [(1, True), (0, False), (None, False)])
    def test_containers_with_no_new_privileges_are_evidence(
        self, judge: Judge, privileges: Any, said: bool
    ) -> None:
        using = [
            hardened("a", Image="sha256:bad:1"),
            hardened("b", Image="sha256:bad:1", proc={"no_new_privs": privileges}),
        ]
        verdict = judge(SETUID, with_containers(*using, **{"docker.images": [built(ROOTFS)]}))
        assert any("gain no privileges" in fact for fact in verdict.evidence) is said


@pytest.mark.parametrize("slug", [UPDATE, ADD, VERIFIED, SETUID])
@pytest.mark.parametrize(
    "history", [[], [{"CreatedBy": None}], [{"CreatedBy": "\x00\x1b[2J" + "A&&'" * 10_000}], [{}]]
)
def test_hostile_or_missing_build_history_is_accepted(judge: Judge, slug: str, history: Any) -> None:
    status, _ = verdict_on(judge, slug, image("bad:1", history=history))
    assert status in {Status.PASS, Status.MANUAL}
