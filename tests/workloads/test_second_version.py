"""A second version of nginx under the profile of the first one: what has changed is named."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from bench.workloads.catalogue import NGINX
from bench.workloads.running import confined, container, hardener
from tests.integration.collecting import on_this_host
from tests.integration.dockerd import Dockerd
from tests.integration.twinning import BESIDE

# As an update does: another version of the package, whose configuration makes a further call.
SECOND = f"""{NGINX.dockerfile}
RUN sed -i '/^Package: nginx$/,/^$/s/^Version: .*/&+second1/' /var/lib/dpkg/status
RUN sed -i '1i worker_priority 5;' /etc/nginx/nginx.conf
"""


def test_a_changed_image_of_a_recorded_container_is_reported(
    prepared: Dockerd, built: Mapping[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)  # long paths are cut where they are shown
    profile = tmp_path / "nginx-profile"
    with container(prepared, NGINX, built) as (name,):
        prepared.build("workloads-nginx-second", SECOND, NGINX.sources(built))
        first, second = (digest(prepared, image) for image in ("workloads-nginx", "workloads-nginx-second"))
        hardener(prepared, "record", name, "--run", NGINX.exercise, "--out", str(tmp_path))
        hardener(prepared, "profile", *map(str, tmp_path.glob("recording-*")), "--out", str(profile))
        moved = f"image digest: {first} → {second}"
        with confined(prepared, name, profile) as under:
            assert changes(prepared, profile.name, under) == []
            verb(prepared, tmp_path, "audit")
        with confined(prepared, name, profile, image="workloads-nginx-second") as under:
            assert changes(prepared, profile.name, under) == [moved]
            assert "setpriority(5) failed" in prepared.docker(
                "exec", under, "cat", "/var/log/nginx/error.log"
            )
            drift = verb(prepared, tmp_path, "drift")
    text = " ".join(drift.split())
    assert "Containers whose identity changed (1)" in text
    assert f"! {under} web1 {moved} its own seccomp profile was made for the earlier identity" in text


def digest(engine: Dockerd, image: str) -> str:
    return str(engine.api("GET", f"/images/{image}/json")["Id"])


def changes(engine: Dockerd, profile: str, name: str) -> list[str]:
    """What `hardener workload audit --profile` says of a container since its recording."""
    printed = hardener(engine, "audit", "--profile", profile)
    _before, _heading, rest = printed.partition(f"{name}: {profile}: its identity ")
    said, *lines = rest.splitlines()
    found = [line.strip() for line in lines if " → " in line]
    assert said.strip() == ("has changed since the recording" if found else "is as recorded"), printed
    return found


def verb(engine: Dockerd, folder: Path, name: str) -> str:
    """Audit the engine as host web1, or compare it with the audit; return what is printed."""
    inventory = folder / "inventory.yml"
    host = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "collect_socket": str(engine.socket),
    }
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"web1": host}}}))
    done = subprocess.run(
        on_this_host(sys.executable, "-m", "hardener", name, "-i", str(inventory)),
        env={**BESIDE, "HARDENER_HOME": str(folder / "home"), "COLUMNS": "300"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 3, 4), done.stderr + done.stdout
    return done.stdout
