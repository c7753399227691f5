"""A scan of a real engine's images by a real security index, held against what apt itself says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from ansible_collections.hardener.docker.plugins.module_utils.scan.main import scan
from ansible_collections.hardener.docker.plugins.module_utils.scan.openscap import LEFT_OUT

from hardener.model import Status
from hardener.snapshot import Snapshot
from tests.integration.collecting import judge
from tests.integration.dockerd import Dockerd, _tar, engine_inside
from tests.integration.namespaces import OwnNetwork
from tests.integration.oldroot import OldRoot, content_of
from tests.leftovers import scratch
from tests.unit.plugins.loading import COLLECTIONS, ROLES
from tests.unit.plugins.module_utils.render.rendering import documents_of
from tests.unit.snapshots import make

# Apt's archive is reached from there alone.
pytestmark = pytest.mark.usefixtures("machine_network")

SLUG = "image-vulnerability-scan"
# Its own records and caches, as long as the command lives: those of this machine are nobody's business here.
_APART = 'mkdir -p /var/lib/hardener /var/cache/hardener && mount --bind "$1" /var/lib/hardener && '
_APART += 'mount --bind "$2" /var/cache/hardener && shift 2 && exec "$@"'

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def old(machine_network: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[OldRoot, bytes]:
    """A root of Debian 12 without its security updates, and its packages."""
    root = OldRoot(tmp_path_factory.mktemp("old"), "bookworm")
    return root, root.status()


@pytest.fixture(scope="module")
def cache() -> Iterator[Path]:
    """Where indexes and packages of images are kept: apt downloads as a user that has to get there."""
    with scratch("scan", parent=Path("/var/tmp")) as path:
        path.chmod(0o755)
        yield path


@pytest.fixture
def run(tmp_path: Path, cache: Path) -> Run:
    """Scan an engine's images, with records of its own."""

    def scanned(engine: Dockerd, **arguments: Any) -> dict[str, Any]:
        folders = {"folder": str(tmp_path / "lib" / "scan"), "cache": str(cache)}
        return scan({"images": True, "socket": str(engine.socket), **folders, **arguments})

    return scanned


@pytest.fixture
def hosting(engine: Dockerd) -> Iterator[Callable[..., str]]:
    """Make an image of files; gone afterwards."""
    made = []

    def host(name: str, files: Mapping[str, bytes | str], *changes: str) -> str:
        query = {"fromSrc": "-", "repo": name, "tag": "1"}
        query |= {"changes": "\n".join(changes)} if changes else {}
        made.append(str(engine.api("POST", f"/images/create?{urlencode(query)}", _tar(files))["status"]))
        return made[-1]

    yield host
    for identity in made:
        engine.api("DELETE", f"/images/{identity}?force=1")


def files_of(old: tuple[OldRoot, bytes], *, distroless: bool = False) -> dict[str, bytes | str]:
    root, status = old
    files: dict[str, bytes | str] = {
        "etc/os-release": "../usr/lib/os-release",
        "usr/lib/os-release": root.os_release,
    }
    if not distroless:
        return {**files, "var/lib/dpkg/status": status}
    stanzas = status.replace(b"\nStatus: install ok installed", b"").strip().split(b"\n\n")
    return files | {f"var/lib/dpkg/status.d/{number}": stanza for number, stanza in enumerate(stanzas)}


def waiting(result: Mapping[str, Any]) -> dict[str, str]:
    return {package["name"]: package["fixed"] for package in result["packages"]}


def test_an_outdated_image_lacks_the_updates_that_apt_would_install(
    engine: Dockerd, old: tuple[OldRoot, bytes], hosting: Callable[..., str], run: Run
) -> None:
    plain, distroless = hosting("old", files_of(old)), hosting("distroless", files_of(old, distroless=True))
    found = run(engine)
    truth = old[0].upgrades(old[1])
    assert truth
    assert waiting(found["images"][plain]) == truth
    assert waiting(found["images"][distroless]) == truth
    assert found["images"][plain]["index"]["state"] == "fresh"


def test_the_updates_that_apt_would_install_are_found_missing_on_the_host(
    engine: Dockerd, run: Run, tmp_path: Path
) -> None:
    found = run(engine, images=False)["host"]
    truth = OldRoot(tmp_path, found["release"]["codename"]).upgrades(
        Path("/var/lib/dpkg/status").read_bytes()
    )
    # apt also takes a rebuild of the same version for another package; and holds back what needs a new one.
    assert found["state"] == ("outdated" if found["packages"] else "clean")
    newer = {name: fixed for name, fixed in truth.items() if waiting(found).get(name) != fixed}
    assert {name: fixed for name, fixed in newer.items() if _installed(name) != fixed} == {}


def _installed(name: str) -> str:
    command = ["dpkg-query", "--show", "--showformat", "${Version}", name]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_layers_are_merged_as_the_engine_does(
    engine: Dockerd, old: tuple[OldRoot, bytes], hosting: Callable[..., str], run: Run
) -> None:
    hosting("old", files_of(old))
    status = b"Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 99\n"
    busybox = {"bin/busybox": Path("/usr/bin/busybox").read_bytes(), "bin/sh": "busybox", "bin/rm": "busybox"}
    hosting("shell", {**files_of(old), **busybox})
    build = "FROM shell:1\nCOPY status /var/lib/dpkg/status\n"
    gone = "FROM shell:1\nRUN rm /var/lib/dpkg/status\n"
    again = "FROM shell:1\nRUN rm -r /var/lib/dpkg\nCOPY status /var/lib/dpkg/status\n"
    for name, text in (("updated:1", build), ("gone:1", gone), ("again:1", again)):
        engine.build(name, text, {"status": status})
    try:
        found = {image["names"][0]: image for image in run(engine)["images"].values()}
        assert found["updated:1"]["state"] == found["again:1"]["state"] == "clean"
        assert found["updated:1"]["checked"] == 1
        assert (found["gone:1"]["state"], found["gone:1"]["kind"]) == ("unknown", None)
    finally:
        for name in ("updated:1", "gone:1", "again:1"):
            engine.api("DELETE", f"/images/{name}?force=1")


def test_unchanged_images_are_not_read_again(
    engine: Dockerd, old: tuple[OldRoot, bytes], hosting: Callable[..., str], run: Run
) -> None:
    identity = hosting("old", {**files_of(old), "x": os.urandom(8)})
    assert run(engine)["read"] >= 1
    again = run(engine)
    assert again["read"] == 0
    assert again["images"][identity]["state"] == "outdated"


def test_an_image_of_an_unsupported_distribution_is_not_reported_as_clean(
    engine: Dockerd, hosting: Callable[..., str], run: Run
) -> None:
    alpine = hosting("alpine", {"etc/os-release": b"ID=alpine\n", "lib/apk/db/installed": b"P:musl\n"})
    nothing = hosting("scratch", {"app": b"x"})
    foreign = {"etc/os-release": b"ID=kali\nVERSION_CODENAME=kali\n"}
    status = b"Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n"
    other = hosting("other", {**foreign, "var/lib/dpkg/status": status})
    found = run(engine)["images"]
    assert found[alpine]["state"] == "not-scanned"
    assert found[nothing]["state"] == "unknown"
    assert found[other]["state"] == "unknown"


def test_files_are_read_through_the_engine_if_layers_cannot_be_read(
    old: tuple[OldRoot, bytes], run: Run, own_network: OwnNetwork
) -> None:
    flags = ["--storage-driver", "vfs", "--bridge=none", "--iptables=false"]
    with engine_inside(own_network, flags=flags) as engine:
        query = urlencode({"fromSrc": "-", "repo": "old", "tag": "1", "changes": "VOLUME /data"})
        for distroless in (False, True):
            files = {**files_of(old, distroless=distroless), "y": b"vfs"}
            engine.api("POST", f"/images/create?{query}", _tar(files))
        left = engine.create("hardener-scan-0", image="old:1", labels={"hardener.scan": "reading"})
        mine = engine.create(image="old:1", labels={"hardener.scan": "mine"})
        found = run(engine)["images"]
        truth = old[0].upgrades(old[1])
        assert [waiting(each) for each in found.values()] == [truth, truth]
        listed = [container["Id"] for container in engine.api("GET", "/containers/json?all=1")]
        assert listed == [mine], f"{left} was left by a run that was killed"
        engine.remove_containers()
        assert not engine.api("GET", "/volumes")["Volumes"]


def test_hooks_of_the_hosts_apt_are_not_run(tmp_path: Path, cache: Path) -> None:
    """They are read by apt before the options of its command line."""
    (tmp_path / "apt.conf.d").mkdir()
    hook = f'APT::Update::Post-Invoke {{ "touch {tmp_path}/hooked"; }};\n'
    (tmp_path / "apt.conf.d" / "hook").write_text(hook + 'Acquire::AllowInsecureRepositories "true";\n')
    folders = {"folder": str(tmp_path / "lib" / "scan"), "cache": str(cache)}
    (tmp_path / "settings.json").write_text(json.dumps({"images": False, **folders}))
    aside = ["unshare", "--mount", "--propagation=private", "sh", "-c"]
    hooked = 'mount --bind "$1" /etc/apt/apt.conf.d && shift && exec "$@"'
    program = "from ansible_collections.hardener.docker.plugins.module_utils.scan.main import main; main()"
    command: list[str | Path] = ["/usr/bin/python3", "-B", "-c", program, tmp_path / "settings.json"]
    done = subprocess.run(
        [*aside, hooked, "hooked", tmp_path / "apt.conf.d", *command],
        env={**os.environ, "PYTHONPATH": str(COLLECTIONS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "lib" / "scan" / "record.json").read_text())["host"]["state"] != "unknown"
    assert not (tmp_path / "hooked").exists()


class TestNetwork:
    """A dead one: nothing listens at the mirror."""

    DEAD: Mapping[str, Any] = {"debian": {"uri": "http://127.0.0.1:9/debian-security"}}

    def test_without_a_package_index_the_state_of_the_host_is_unknown(
        self, engine: Dockerd, tmp_path: Path, run: Run
    ) -> None:
        found = run(engine, images=False, cache=str(tmp_path / "empty"), mirrors=self.DEAD)["host"]
        assert found["state"] == "unknown"
        assert "127.0.0.1" in found["reason"]

    def test_the_last_index_is_used_until_it_is_stale(self, engine: Dockerd, run: Run) -> None:
        before = run(engine, images=False)["host"]
        after = run(engine, images=False, mirrors=self.DEAD)["host"]
        assert after["index"]["date"] == before["index"]["date"]
        assert waiting(after) == waiting(before)


def test_an_unsigned_index_is_refused(engine: Dockerd, cache: Path, run: Run) -> None:
    suite = cache / "mirror" / "dists" / f"{_field('VERSION_CODENAME')}-security"
    (suite / "main" / "binary-amd64").mkdir(parents=True)
    (suite / "main" / "binary-amd64" / "Packages").write_text("")
    date = time.strftime("%a, %d %b %Y %H:%M:%S UTC", time.gmtime())
    (suite / "Release").write_text(f"Suite: x-security\nCodename: x-security\nDate: {date}\nSHA256:\n")
    mirrors = {"debian": {"uri": f"file:{cache}/mirror"}}
    found = run(engine, images=False, cache=str(cache / "unsigned"), mirrors=mirrors)["host"]
    assert (found["state"], found["packages"]) == ("unknown", [])
    assert "not signed" in found["reason"]


def _field(name: str) -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    return next(line.partition("=")[2] for line in lines if line.startswith(f"{name}="))


def test_updates_name_the_vulnerabilities_that_they_fix(
    engine: Dockerd, old: tuple[OldRoot, bytes], hosting: Callable[..., str], run: Run
) -> None:
    stanza = b"Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.1-1\n"
    identity = hosting("one", {"etc/os-release": old[0].os_release, "var/lib/dpkg/status": stanza})
    alone = run(engine, images=True, cves=True)["images"][identity]
    (package,) = alone["packages"]
    assert package["cves"]
    assert all(each.startswith("CVE-") for each in package["cves"])


@pytest.mark.slow
def test_openscap_evaluates_with_the_content_of_this_release(
    engine: Dockerd, run: Run, tmp_path: Path, cache: Path
) -> None:
    """The content for Debian 13 is data of a later release's package: it installs, and unpacks, anywhere."""
    content = content_of(tmp_path, "forky", "ssg-debian")
    number = _field("VERSION_ID").strip('"')
    stream = content / f"ssg-debian{number}-ds.xml"
    found = run(engine, images=False, openscap=True, openscap_content=str(stream))["openscap"]
    assert found["error"] is None
    assert found["counts"]["pass"] > 20
    names = {each["id"] for each in found["failed"]}
    assert names
    assert not names & LEFT_OUT.keys()
    another = content / f"ssg-debian{11 if number != '11' else 12}-ds.xml"
    found = run(
        engine, images=False, openscap=True, openscap_content=str(another), openscap_profile="standard"
    )
    assert "applies to this host" in found["openscap"]["error"]


def test_systemd_accepts_the_units_of_the_timer(tmp_path: Path) -> None:
    role = "vulnerability_scan"
    defaults = yaml.safe_load((ROLES / role / "defaults/main.yml").read_text())
    variables = {key.removeprefix(f"{role}_"): value for key, value in defaults.items()}
    timers = {key: value for key, value in variables.items() if not key.startswith("openscap_")}
    (found,) = documents_of(role)(make().raw, **timers)
    for resource in (each for each in found["resources"] if each["kind"] == "file"):
        path = tmp_path / resource["path"].lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        content = resource.get("content")
        path.write_text(Path(resource["content_from"]).read_text() if content is None else content)
    units = sorted((tmp_path / "etc" / "systemd" / "system").iterdir())
    verified = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    # What is installed runs by itself, with nothing of the checkout beside it.
    home = tmp_path / "usr/local/lib/hardener/vulnerability_scan"
    script = home / "host_scan.py"
    script.write_text(script.read_text().replace('"/usr', f'"{tmp_path}/usr'))
    settings = tmp_path / "settings.json"
    folders = {"folder": str(tmp_path / "lib" / "scan"), "cache": str(tmp_path / "cache")}
    settings.write_text(json.dumps({"images": False, "mirrors": TestNetwork.DEAD, **folders}))
    started = subprocess.run(
        ["/usr/bin/python3", "-B", script, settings],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (started.returncode, started.stderr) == (0, "")
    assert "1 scanned in" in started.stdout
    assert (tmp_path / "lib" / "scan" / "record.json").exists()


def test_a_concurrent_scan_is_refused_in_one_line(tmp_path: Path, engine: Dockerd, run: Run) -> None:
    from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
    from ansible_collections.hardener.docker.plugins.module_utils.scan import record

    with record.locked(str(tmp_path / "lib" / "scan")), pytest.raises(Failed, match="another scan"):
        run(engine)


def test_the_next_audit_reports_findings_from_the_record_of_the_scan_command(
    engine: Dockerd, old: tuple[OldRoot, bytes], hosting: Callable[..., str], tmp_path: Path, cache: Path
) -> None:
    identity = hosting("old", files_of(old))
    report = tmp_path / "trivy.json"
    hole = {"VulnerabilityID": "CVE-2026-9", "PkgName": "lodash", "FixedVersion": "2"}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    document = {"SchemaVersion": 2, "CreatedAt": now, "Metadata": {"ImageID": identity}}
    report.write_text(json.dumps({**document, "Results": [{"Vulnerabilities": [hole]}]}))
    inventory = tmp_path / "hosts.json"
    variables = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
    hosts = {"web": {**variables, "collect_socket": str(engine.socket)}}
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    (tmp_path / "lib").mkdir(mode=0o700)
    aside = ["unshare", "--mount", "--propagation=private", "sh", "-c", _APART]
    apart: list[str | Path] = [*aside, "apart", tmp_path / "lib", cache]
    hardener = [sys.executable, "-m", "hardener"]

    scanned = subprocess.run(
        [
            *apart,
            *hardener,
            *("scan", "images", "-i"),
            inventory,
            "--import",
            report,
            "--json",
            tmp_path / "o.json",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert scanned.returncode == 3, scanned.stderr
    assert "old:1" in scanned.stdout
    assert waiting(json.loads((tmp_path / "o.json").read_text())["web"]["images"][identity]) == old[
        0
    ].upgrades(old[1])
    assert (tmp_path / "lib" / "scan" / "record.json").stat().st_mode & 0o777 == 0o600

    audited = subprocess.run(
        [
            *apart,
            *hardener,
            "audit",
            "-i",
            inventory,
            "--snapshots",
            tmp_path / "s",
            "--home",
            tmp_path / "home",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (tmp_path / "s" / "web.json").exists(), audited.stderr
    snapshot = Snapshot.load(tmp_path / "s" / "web.json")
    verdict = judge(SLUG, snapshot)
    assert verdict.status is Status.FAIL
    (offender,) = (each for each in verdict.offenders if each.name == "old:1")
    assert "CVE-2026-9 in lodash" in offender.detail
    assert judge("host-updates-pending", snapshot).status is not None
