"""Read reports with programs of others, in the environment of `make readers`, and print what each counts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pandas  # type: ignore[import-untyped]
from junitparser import JUnitXml
from sarif import loader  # type: ignore[import-not-found]
from trestle.oscal.assessment_results import AssessmentResults  # type: ignore[import-not-found]


def main(folder: Path) -> None:
    """Print the counts."""
    table = pandas.read_csv(folder / "report.csv")
    junit = JUnitXml.fromfile(str(folder / "report.junit.xml"))
    sarif = loader.load_sarif_file(str(folder / "report.sarif"))
    oscal = AssessmentResults.oscal_read(folder / "report.oscal.json")
    result = oscal.results[0]
    print(
        json.dumps(
            {
                "pandas": [table.columns[0], len(table), int((table.status == "fail").sum())],
                "junitparser": [len(list(junit)), sum(suite.tests for suite in junit)],
                "sarif-tools": [sarif.get_result_count(), len(sarif.runs)],
                "trestle": [len(result.observations), len(result.local_definitions.inventory_items)],
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
