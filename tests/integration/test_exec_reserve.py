"""An operator's programs work under a profile that permits no more than a shell of `docker exec` needs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from hardener.workload.equal_calls import no_more_than
from hardener.workload.syscalls import EXEC_RESERVE, GO_RESERVE, KERNEL_RESERVE, LIBRARY_RESERVE
from tests.integration.dockerd import Dockerd

# What the runtime makes after it has loaded the filter.
RUNTIME = ["capget", "capset", "fchown", "fstatfs", "openat2", "prctl", "setgid", "setgroups", "setuid"]
# This machine's programs, which are those of Debian.
MOUNTS = ("/usr:/usr:ro", "/usr/lib:/lib:ro", "/usr/lib64:/lib64:ro", "/etc/passwd:/etc/passwd:ro")
PROGRAMS = """
ls -la /usr
ls -la --full-time /etc/passwd
stat /usr/bin
cat /etc/passwd
head -n 1 /etc/passwd
tail -n 1 /etc/passwd
grep root /etc/passwd
sed -n 1p /etc/passwd
sort /etc/passwd
wc /etc/passwd
sha256sum /etc/passwd
find /usr/share/base-files -ls
du -s /usr/share/base-files
df --output=fstype /usr
readlink -f /usr/bin/awk
awk -F: '{print $1}' /etc/passwd
dash -c "cat /etc/passwd | wc -l"
bash -c 'for word in a b; do echo $word; done'
id
env
""".strip().splitlines()


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    follow = no_more_than(EXEC_RESERVE, among=EXEC_RESERVE | {"fchdir"})
    names = sorted(EXEC_RESERVE | follow.keys() | GO_RESERVE | KERNEL_RESERVE | LIBRARY_RESERVE | {*RUNTIME})
    path = tmp_path_factory.mktemp("profile") / "seccomp.json"
    rule = {"names": names, "action": "SCMP_ACT_ALLOW"}
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule]}))
    return path


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_program_says_the_same_as_under_the_default_profile(
    dockerd: Dockerd, profile: Path, program: str
) -> None:
    def output(*options: str) -> tuple[int, str, str]:
        mounts = [f"--volume={each}" for each in MOUNTS]
        command = ["docker", "--host", dockerd.host, "run", "--rm", "--network=none", "--hostname=h", *mounts]
        words = [*command, *options, "busybox:test", "/usr/bin/dash", "-c", program]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert output(f"--security-opt=seccomp={profile}") == output()
