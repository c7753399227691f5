"""Write a proof as JUnit: a case for the profile, one for the exercise, and one for each removed part.

A removal that broke nothing is a skipped case with a reason: it must not fail a pipeline, but it is not a
pass either.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from junit_xml import TestCase, TestSuite

from hardener.reports.junit import host_slug
from hardener.text import block, line
from hardener.workload.verdict import Proof, Verdict


def proof_junit(proof: Proof, *, name: str, properties: dict[str, str]) -> str:
    """Return a proof as a JUnit document.

    Args:
        proof: the proof.
        name: of the container.
        properties: further properties, such as digests.
    """
    suite = TestSuite(
        line(name),
        list(_cases(proof, f"workload.{host_slug(name)}")),
        id=host_slug(name),
        properties={line(key): line(value, 1000) for key, value in sorted(properties.items())},
    )
    element: ElementTree.Element = suite.build_xml_doc()
    del element.attrib["disabled"]  # the schema has no such attribute
    element.set("time", f"{float(element.get('time', '0')):.3f}")
    root = ElementTree.Element("testsuites", {"name": line(f"hardener workload {name}")})
    root.append(element)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _cases(proof: Proof, package: str) -> Iterator[TestCase]:
    exercise = TestCase("the exercise detects a profile that is too strict", classname=f"{package}.exercise")
    profile = TestCase("the container works under the profile", classname=f"{package}.profile")
    reasons = "\n".join(proof.reasons)
    unexercised = proof.verdict is Verdict.NOT_EXERCISED
    missing = unexercised and any(each.needed is not None for each in proof.evidence)  # only some removals
    if unexercised and not missing:
        exercise.add_error_info(line(reasons), block(reasons), "hardener.not_exercised")
        profile.add_skipped_info(line(f"not exercised: {reasons}"))
    elif proof.verdict is Verdict.NOT_SAFE:
        profile.add_failure_info(line(reasons), block(reasons), "hardener.not_safe")
    yield exercise
    yield profile
    for each in proof.evidence:
        case = TestCase(line(f"{each.removed} is needed"), classname=f"{package}.removal")
        if each.needed is None and missing:
            case.add_error_info(line(f"not tried: {each.observed}"), block(reasons), "hardener.not_tried")
        elif each.needed is None:
            case.add_skipped_info(line(f"not tried: {each.observed}"))
        elif not each.needed:
            case.add_skipped_info(line(f"not needed: {each.observed}"))
        else:
            case.stdout = block(each.observed)
        yield case
