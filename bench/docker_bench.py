"""Compare docker-bench-security with hardener on one host with many misconfigurations.

    python -m bench.docker_bench CHECKOUT [--json FILE]

Boots a Debian 13 host in namespaces of this machine, misconfigures it (``bench.misconfigured``), runs the
checkout's script in it and ``hardener audit`` over ssh, and prints who reported what, as Markdown. Ends with
1 where docker-bench-security reports what hardener does not, and that is not explained. Needs root, and the
lab's image.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.misconfigured import CASES, SOUND, Case
from hardener import catalogue
from hardener.lab import Guest
from tests.hosts import namespace_host
from tests.hosts.command import findings, hardener
from tests.leftovers import scratch

BENCHMARK = "cis-docker-1.6.0"  # the one that docker-bench-security implements
_IMAGES = """
mkdir -p /srv/image/bin
cp /bin/busybox /srv/image/bin/
for name in sh sleep true false ps; do ln -sf busybox /srv/image/bin/$name; done
tar --create --directory=/srv/image . | docker import --change 'CMD ["/bin/sleep", "1000000"]' - sound:test
tar --create --directory=/srv/image . |
    docker import --change 'ENV AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY' - secret:test
docker network create apps
"""
_ASLEEP = "asleep"
_NAMES = ("docker-bench-security", "hardener")
# Why hardener does not fail where docker-bench-security warns, on the host that is made here.
WHY_NOT = {
    "container-apparmor": "the host has no AppArmor; `host-lsm-enforcing` fails for that",
    "container-no-sshd": "the sshd belongs to the host, whose PID namespace the container shares; "
    "5.16 fails for that",
}

Report = Mapping[str, Mapping[str, Any]]


def main() -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("checkout", type=Path, help="a checkout of docker-bench-security")
    parser.add_argument("--json", type=Path, help="write both reports there")
    options = parser.parse_args()
    if not (options.checkout / "docker-bench-security.sh").is_file():
        parser.error(f"{options.checkout} has no docker-bench-security.sh: give a checkout of its repository")
    host = namespace_host.start("compared", "13")
    try:
        _misconfigure(host)
        theirs = _docker_bench(host, options.checkout)
        ours = _hardener(host)
    finally:
        host.stop()
    if options.json:
        options.json.write_text(json.dumps({"docker-bench-security": theirs, "hardener": ours}, indent=1))
    print("\n".join([*_cases(theirs, ours), "", *_warnings(theirs, ours)]))
    lost = [
        case for case in CASES if _reports(_their_word(theirs, case)) and not _reports(_our_word(ours, case))
    ]
    unexplained = [place for place, slug in _alone(theirs, ours) if slug not in WHY_NOT]
    for case in lost:
        print(f"hardener misses: {case.what}", file=sys.stderr)
    for place in unexplained:
        print(f"only docker-bench-security warns about {place}, and WHY_NOT gives no reason", file=sys.stderr)
    return 1 if lost or unexplained else 0


def _cases(theirs: Report, ours: Report) -> Iterator[str]:
    """Yield a table of the misconfigurations with both results, and the programs whose result is right."""
    yield "| CIS 1.6.0 | misconfiguration | docker-bench-security | hardener | right |"
    yield "| --- | --- | --- | --- | --- |"
    for case in CASES:
        words = (_their_word(theirs, case), _our_word(ours, case))
        right = [name for name, word in zip(_NAMES, words, strict=True) if _reports(word)]
        who = "both" if len(right) == len(_NAMES) else right[0] if right else "neither"
        yield f"| {case.place} | {case.what} | {words[0]} | {words[1]} | {who} |"
    counts = [
        sum(_reports(word(report, case)) for case in CASES)
        for report, word in ((theirs, _their_word), (ours, _our_word))
    ]
    yield ""
    yield f"Of {len(CASES)}, docker-bench-security reports {counts[0]} and hardener {counts[1]}."


def _warnings(theirs: Report, ours: Report) -> Iterator[str]:
    """Yield a table of the recommendations for which only docker-bench-security warns, with the reason."""
    yield "| CIS 1.6.0 | docker-bench-security | hardener | right |"
    yield "| --- | --- | --- | --- |"
    for place, slug in _alone(theirs, ours):
        status, why = ours[slug]["status"], WHY_NOT.get(slug, "not explained")
        said = theirs[place].get("details", "").partition(":")[0]
        yield f"| {place} | warn: {said} | {status} | hardener: {why} |"


def _alone(theirs: Report, ours: Report) -> Iterator[tuple[str, str]]:
    slugs = {control.id_in(BENCHMARK): control.slug for control in catalogue.load(BENCHMARK)}
    for place, result in theirs.items():
        slug = slugs.get(place)
        if slug and result.get("result") == "WARN" and ours[slug]["status"] not in ("fail", "manual"):
            yield place, slug


def _misconfigure(host: Guest) -> None:
    config = ", ".join(case.config for case in CASES if case.config)
    failures: list[str] = []
    _run(host, "systemctl stop docker.socket docker.service", failures)
    for case in CASES:
        _run(host, case.shell, failures)
    _run(host, f"mkdir -p /etc/docker; cat >/etc/docker/daemon.json <<'END'\n{{{config}}}\nEND\n", failures)
    _run(host, "systemctl start docker.service", failures)
    _run(host, _IMAGES, failures)
    for case in CASES:
        if case.run:
            # Of an option that is given twice docker takes the last, but for what can be given twice.
            sound = _without_twins(SOUND, case.run)
            _run(host, f"docker run -d --name {case.name} {sound} {case.run} sound:test", failures)
    _run(host, f"docker update --restart no {_ASLEEP}; docker stop -t 0 {_ASLEEP}", failures)
    _run(host, "docker network disconnect apps bridged 2>/dev/null || true", failures)
    for case in CASES:
        _run(host, case.late, failures)
    if failures:
        sys.exit("the host cannot be misconfigured:\n" + "\n".join(failures))


def _without_twins(sound: str, own: str) -> str:
    """Return the options of a compliant container without those that conflict with a case's own options."""
    words = sound.split(" --")
    excluded = {
        "network": "--network" in own,
        "security-opt": "no-new-privileges" in own,
        "ulimit": "--ulimit" in own,
        "cap-drop": "--privileged" in own,
        "health-cmd": "--health-cmd" in own,
    }
    kept = [word for word in words if not excluded.get(word.removeprefix("--").partition(" ")[0])]
    return " --".join(kept)


def _run(host: Guest, script: str, failures: list[str]) -> None:
    if not script:
        return
    done = host.ssh("sh", "-c", f"set -e\n{script}", check=False, timeout=300)
    if done.returncode:
        failures.append(f"{script.strip()[:300]}\n{done.stderr}")


def _docker_bench(host: Guest, checkout: Path) -> dict[str, dict[str, Any]]:
    """Run docker-bench-security; return its results by id."""
    archive = subprocess.run(
        ["tar", "--create", "--directory", checkout, "--exclude=.git", "."], check=True, capture_output=True
    ).stdout
    command = host.ssh_command("tar", "--extract", "--one-top-level=/srv/bench")
    subprocess.run(command, input=archive, check=True)
    script = "cd /srv/bench && bash docker-bench-security.sh -b -l result >/dev/null 2>&1; cat result.json"
    report = json.loads(host.ssh("sh", "-c", script, timeout=1800).stdout)
    return {each["id"]: each for section in report["tests"] for each in section["results"]}


def _hardener(host: Guest) -> dict[str, dict[str, Any]]:
    """Run hardener; return its findings by control."""
    with scratch("compare") as folder:
        report = folder / "report.json"
        done = hardener("audit", host.inventory, "--benchmark", BENCHMARK, "--json", report)
        if not report.exists():
            sys.exit(f"hardener audit failed: {done.stderr}")
        return findings(report)


def _their_word(report: Report, case: Case) -> str:
    """Return docker-bench-security's result for a case; a warning counts only if it names the object."""
    result = report.get(case.place)
    if result is None:
        return "no check"
    word = str(result.get("result", "none")).lower()
    said = f" {result.get('details', '')} {' '.join(map(str, result.get('items', ())))} "
    if word == "info" and not case.name:  # "not listening on TCP"
        return f"{word}, other cause"
    if word in ("warn", "info") and case.name:
        named = any(sign in said for sign in (f" {case.name} ", f" {case.name}:", f":{case.name} "))
        return word if named else f"{word}, other cause"
    return word


def _our_word(report: Report, case: Case) -> str:
    finding = report[case.slug]
    word = str(finding["status"])
    if word in ("fail", "manual") and case.name:
        said = json.dumps([finding["offenders"], finding["evidence"]])
        return word if case.name in said else f"{word}, other cause"
    return word


def _reports(word: str) -> bool:
    return word in ("warn", "info", "fail", "manual")


if __name__ == "__main__":
    sys.exit(main())
