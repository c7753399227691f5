from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hardener.errors import HardenerError
from hardener.scan import vex
from hardener.scan.record import parse
from hardener.scan.vex import Image, Package, Statement, Statements, VexStatus, load
from tests.unit.reports.assessments import HOSTILE
from tests.unit.scans import IMAGE, OPENSSL, finding, record, report, result

CVE = "CVE-2026-1111"
PACKAGE = Package(frozenset({"openssl", "libssl3"}), "3.0.1-1")
WEB = Image(IMAGE, "registry.example.org/team/web:1.4")
DEB = "pkg:deb/debian/openssl@3.0.1-1?arch=amd64&distro=debian-12"
Told = dict[str, Any]


def said(status: str = "not_affected", *products: Any, **more: Any) -> Told:
    why = {"justification": "vulnerable_code_not_present"} if status == "not_affected" else {}
    listed = [{"@id": each} if isinstance(each, str) else each for each in products or (DEB,)]
    return {"vulnerability": {"name": CVE}, "products": listed, "status": status, **why, **more}


def openvex(*statements: Told, **changes: Any) -> Told:
    head = {"@context": "https://openvex.dev/ns/v0.2.0", "@id": "x", "author": "a", "version": 1}
    return {**head, "statements": list(statements), **changes}


def analysed(state: str = "not_affected", *refs: str, **more: Any) -> Told:
    return {
        "id": CVE,
        "analysis": {"state": state, **more},
        "affects": [{"ref": ref} for ref in refs or (DEB,)],
    }


def cyclonedx(*vulnerabilities: Told, **changes: Any) -> Told:
    head = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1}
    return {**head, "vulnerabilities": list(vulnerabilities), **changes}


@pytest.fixture
def loaded(tmp_path: Path) -> Any:
    def write(document: Any) -> tuple[Statement, ...]:
        path = tmp_path / "vendor.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return load(path)

    return write


@pytest.mark.parametrize("status", list(VexStatus))
def test_openvex_statements_are_read(loaded: Any, status: VexStatus) -> None:
    (one,) = loaded(openvex(said(status, action_statement="Update.", status_notes="Looked at.")))
    assert (one.vulnerability, one.status, one.text) == (CVE, status, "Update.; Looked at.")
    assert one.source == "vendor.json"
    assert one.is_about(CVE.lower(), PACKAGE, None)


@pytest.mark.parametrize(
    ("state", "status", "why"),
    [
        ("not_affected", VexStatus.NOT_AFFECTED, "code_not_reachable"),
        ("false_positive", VexStatus.NOT_AFFECTED, "false_positive, code_not_reachable"),
        ("resolved", VexStatus.FIXED, "resolved, code_not_reachable"),
        ("resolved_with_pedigree", VexStatus.FIXED, "resolved_with_pedigree, code_not_reachable"),
        ("exploitable", VexStatus.AFFECTED, "code_not_reachable"),
        ("in_triage", VexStatus.UNDER_INVESTIGATION, "code_not_reachable"),
    ],
)
def test_cyclonedx_statements_are_read(loaded: Any, state: str, status: VexStatus, why: str) -> None:
    told = analysed(
        state, justification="code_not_reachable", detail="Off.", response=["will_not_fix", "update"]
    )
    one, alias = loaded(
        cyclonedx(told, {"id": "no-analysis"}, {**told, "id": "GHSA-1", "references": [{"id": CVE}]})
    )
    assert (one.status, one.why, one.text) == (status, why, "will_not_fix, update; Off.")
    assert one.is_about(CVE, PACKAGE, None)
    assert alias.is_about(CVE, PACKAGE, None)


def test_references_of_cyclonedx_are_resolved_to_products(loaded: Any) -> None:
    components = [
        {"bom-ref": "a", "name": "group", "components": [{"bom-ref": "b", "purl": DEB}]},
        {"bom-ref": "c", "name": "other"},
    ]
    about = {"component": {"bom-ref": "image", "name": "web", "purl": f"pkg:oci/web@{IMAGE}"}}
    linked = f"urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#{DEB.replace('@', '%40')}"
    for ref, fits in (
        ("b", True),
        ("c", False),
        ("gone", False),
        (DEB, True),
        (linked, True),
        ("image", True),
    ):
        (one,) = loaded(cyclonedx(analysed("not_affected", ref), components=components, metadata=about))
        assert one.is_about(CVE, PACKAGE, WEB) is fits, ref


@pytest.mark.parametrize(
    ("product", "on_host", "in_image"),
    [
        (DEB, True, True),
        ("pkg:deb/debian/openssl", True, True),
        ("pkg:deb/debian/openssl@3.0.2-1", False, False),
        ("pkg:deb/debian/libssl3@3.0.1-1", True, True),
        ("pkg:deb/debian/openssl-dev", False, False),
        ("openssl", True, True),
        (IMAGE, False, True),
        (IMAGE.removeprefix("sha256:"), False, True),
        (f"pkg:oci/web@{IMAGE.replace(':', '%3A')}", False, True),
        ("pkg:oci/web@sha256:" + "0" * 64, False, True),  # the digest of a manifest; the name is what fits
        ("pkg:oci/other@sha256:" + "0" * 64, False, False),
        ("pkg:oci/web?repository_url=registry.example.org/team/web", False, True),
        ("pkg:oci/web?repository_url=registry.example.org/team&tag=1.4", False, True),
        ("pkg:oci/web?repository_url=elsewhere.example.org/team/web", False, False),
        ("pkg:oci/web?tag=1.5", False, False),
        ("pkg:docker/team/web@1.4", False, True),
        ("pkg:docker/team/web@1.5", False, False),
        ("registry.example.org/team/web:1.4", False, True),
        ("registry.example.org/team/web:1.5", False, False),
        ({"@id": "x", "identifiers": {"purl": DEB}}, True, True),
        ({"@id": "x", "hashes": {"sha-256": IMAGE.removeprefix("sha256:")}}, False, True),
        ({"@id": IMAGE, "subcomponents": [{"@id": DEB}]}, False, True),
        ({"@id": IMAGE, "subcomponents": [{"@id": "pkg:deb/debian/zlib1g"}]}, False, False),
        ({"@id": DEB, "subcomponents": [{"@id": "pkg:generic/part"}]}, False, False),
    ],
)
def test_a_vex_statement_applies_to_the_products_that_it_names(
    loaded: Any, product: Any, on_host: bool, in_image: bool
) -> None:
    (one,) = loaded(openvex(said("not_affected", product)))
    assert one.is_about(CVE, PACKAGE, None) is on_host
    assert one.is_about(CVE, PACKAGE, WEB) is in_image
    assert not one.is_about("CVE-2026-2222", PACKAGE, WEB)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "is not a VEX document"),
        ("[" * 100_000, "is not a VEX document"),
        ("[]", "the document is not an object"),
        ({}, "the document has neither @context of OpenVEX nor bomFormat of CycloneDX"),
        (openvex(said(), **{"@context": "https://openvex.dev/ns/v0.0.1"}), "only OpenVEX 0.2 can be read"),
        (cyclonedx(analysed(), specVersion="1.3"), "only CycloneDX 1.4 to 1.9 can be read"),
        (openvex(), "has no VEX statement"),
        (cyclonedx({"id": CVE}), "has no VEX statement"),
        (openvex(said(), {}), "statement 2: vulnerability is not an object"),
        (openvex(said("safe")), "statement 1: status is 'safe', none of not_affected, affected, fixed"),
        (openvex(said(justification="because")), "justification is 'because', which OpenVEX does not have"),
        (openvex(said(justification="")), "not_affected needs a justification or an impact_statement"),
        (openvex(said(products="all")), "products is not a list"),
        (openvex(said(products=[1])), "a product is not an object"),
        (openvex(said(products=[{}] * 1001)), "products has more than 1000 entries"),
        (openvex(vulnerability="x", statements=3), "statements is not a list"),
        (openvex({**said(), "vulnerability": {"name": 7}}), "name is not a string"),
        (cyclonedx(analysed("fine")), "analysis.state is 'fine', none of not_affected, false_positive"),
        (cyclonedx(analysed(), components=[[]]), "a component is not an object"),
    ],
)
def test_a_malformed_document_is_reported_in_one_line(loaded: Any, document: Any, message: str) -> None:
    with pytest.raises(HardenerError, match=message) as caught:
        loaded(document)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_the_size_and_the_number_of_vex_statements_are_bounded(
    loaded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vex, "_STATEMENTS", 2)
    with pytest.raises(HardenerError, match="more than 2 statements"):
        loaded(openvex(*[said()] * 3))
    monkeypatch.setattr(vex, "_LARGEST", 100)
    with pytest.raises(HardenerError, match="more than 100 bytes"):
        loaded(openvex(said()))
    with pytest.raises(HardenerError, match="cannot read"):
        load(tmp_path / "gone.json")


@pytest.mark.parametrize(
    "text", [each for each in HOSTILE if not any("\ud800" <= c <= "\udfff" for c in each)]
)
def test_untrusted_texts_are_escaped(loaded: Any, text: str) -> None:
    document = openvex(
        said("not_affected", text or "x", impact_statement=text, vulnerability={"name": f"x{text}"})
    )
    (one,) = loaded(document)
    assert (one.vulnerability + one.text + "".join(one.products[0].names)).isprintable()


def scanned(**changes: Any) -> Mapping[str, Any]:
    openssl = {**OPENSSL, "cves": [CVE]}
    return {**record({IMAGE: result(openssl, names=[WEB.name])}, host=result(openssl)), **changes}


def test_statements_are_matched_with_hosts_images_and_reports(loaded: Any) -> None:
    trivy = report({**finding("musl"), "id": CVE, "installed": "1.2.3-r0"})
    scan = parse(scanned(imported={IMAGE: [trivy]}))
    statements = Statements(
        loaded(
            openvex(
                said(),
                said("affected", {"@id": IMAGE, "subcomponents": [{"@id": "pkg:apk/alpine/musl@1.2.3-r0"}]}),
                said("fixed", "pkg:deb/debian/zlib1g"),
                said(vulnerability={"name": "CVE-1999-1"}),
            )
        )
    )
    assert [(each.object, each.package, each.statement.status) for each in statements.of(scan)] == [
        ("the host", "openssl", "not_affected"),
        (IMAGE, "openssl", "not_affected"),
        (IMAGE, "musl", "affected"),
    ]
    assert [each.status for each in statements.unused] == ["fixed", "not_affected"]
