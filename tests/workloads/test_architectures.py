"""The calls of a 32-bit program are recorded apart, and permitted by its architecture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from bench.workloads.catalogue import I386
from bench.workloads.running import container, hardener
from hardener.workload.proof import ProofDocument
from hardener.workload.recording import load
from tests.integration.dockerd import Dockerd


def test_a_profile_without_the_architecture_of_a_32_bit_program_is_not_safe(
    prepared: Dockerd, built: Mapping[str, bytes], tmp_path: Path
) -> None:
    profile = tmp_path / "profile"
    with container(prepared, I386, built) as (name,):
        hardener(prepared, "record", name, "--run", I386.exercise, "--out", str(tmp_path))
        (path,) = tmp_path.glob("recording-*.json")
        recording = load(path)
        calls = recording.calls
        assert set(calls["i386"]) >= {"socket", "bind", "listen", "accept4", "read", "write", "getuid32"}
        assert calls["i386"]["getuid32"].phases == ("serve", "reload")  # in both a client connects
        assert set(calls) == {"i386"}  # its execution is the runtime's
        assert set(recording.network.families) == {"AF_INET", "AF_INET6"}  # by socket, and by socketcall
        assert [each.permitted for each in recording.capset] == [()]
        hardener(prepared, "profile", str(path), "--out", str(profile))
        without = _without_i386(profile)
        prove = ("prove", str(profile), "--run", I386.exercise, "--starts", "3")
        hardener(prepared, *prove, allowed=(3,))
    assert without == ["SCMP_ARCH_X86_64"]
    proof = ProofDocument.model_validate_json((profile / "proof.json").read_text())
    assert proof.verdict == "not safe"
    assert "starts failed" in proof.reasons[0]


def _without_i386(profile: Path) -> list[str]:
    """Take the architecture out of a profile, and its digest with it; return those that it has left."""
    file = profile / "seccomp.json"
    seccomp = json.loads(file.read_text())
    seccomp["architectures"].remove("SCMP_ARCH_X86")
    file.write_text(json.dumps(seccomp))
    document = json.loads((profile / "profile.json").read_text())
    document["files"][file.name] = f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    (profile / "profile.json").write_text(json.dumps(document))
    left: list[str] = seccomp["architectures"]
    return left
