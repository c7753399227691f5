from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from hardener.catalogue.known_releases import PATH, packaged, parse
from hardener.decisions.document import DocumentError
from hardener.decisions.files import read_decisions, stored_decisions

TODAY = date(2026, 12, 2)


def test_hardeners_own_file_is_valid_and_names_each_branch_of_a_fix(tmp_path: Path) -> None:
    decided = read_decisions(None, None, PATH, today=TODAY)
    assert parse(decided.releases_text) == packaged()
    assert list(decided.digests) == ["releases"]
    stored = stored_decisions({"releases": PATH.read_bytes()}, name="run", today=TODAY)
    assert stored == decided
    known = packaged()
    for row in known.fixes:
        assert all(known.branch(row.component, fixed) for fixed in row.fixed), row


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("as_of: 2026-12-01", "as_of: soon", "as_of: must be a date"),
        ("as_of: 2026-12-01", "as_of: 2027-12-01", "as_of: 2027-12-01 is in the future"),
        ("component: engine", "component: podman", "component: must be 'engine', 'containerd' or 'runc'"),
        ("fixed: [29.3.1]", "fixed: [29.x]", "must be a version such as 29.9.0"),
        ("fixed: [29.3.1]", "fixed: []", "fixed: is empty"),
        (", source: distro-info-data 0.66}", "}", "source: is missing"),
        ("fixes: CVE-2026-17106, date: 2026-12-01", "fixes: CVE-2026-17106", "date: is missing"),
        ("regular:", "regulor:", "unknown key; did you mean regular?"),
        ("until: 2026-10-31", "until: null", "until: is empty"),
        ("newest: 29.10.0", "newest: ~", "newest: is empty"),
        ("branches:", "branches: []\nbranch:", "branches: is empty"),
    ],
)
def test_a_wrong_file_of_releases_is_refused_with_line_and_key(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    file = tmp_path / "releases.yaml"
    file.write_text(PATH.read_text().replace(old, new))
    with pytest.raises(DocumentError) as refused:
        read_decisions(None, None, file, today=TODAY)
    assert any(message in problem.at(file) for problem in refused.value.problems), refused.value.problems
