"""The README of a package index links to the documentation site, or to nothing."""

from __future__ import annotations

import pytest

from tools.readme import address, published

TEXT = """\
![Before and after](docs/images/harden.svg)
[first](docs/guides/first-steps.md) [ids](docs/controls/README.md#daemon) [role](roles/kernel/README.md)
[here](#install) [other](https://example.org/) [file](inventories/example/hosts.yml) [changes](CHANGELOG.md)
"""


def test_relative_links_of_the_readme_point_to_the_documentation_site() -> None:
    assert published(TEXT, "https://docs.example.org/h/") == (
        "![Before and after](https://docs.example.org/h/images/harden.svg)\n"
        "[first](https://docs.example.org/h/guides/first-steps.html) "
        "[ids](https://docs.example.org/h/controls/index.html#daemon) "
        "[role](https://docs.example.org/h/reference/roles/kernel.html)\n"
        "[here](#install) [other](https://example.org/) "
        "[file](https://docs.example.org/h/files/inventories/example/hosts.yml) "
        "[changes](https://docs.example.org/h/changelog.html)\n"
    )


def test_without_a_documentation_site_relative_links_become_text() -> None:
    assert (
        published(TEXT, "")
        == "\nfirst ids role\n[here](#install) [other](https://example.org/) file changes\n"
    )


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("README.md", "index.html"),
        ("CONTRIBUTING.md", "contributing/index.html"),
        ("docs/guides/index.md", "guides/index.html"),
        ("docs/decisions/0002-dependencies.md", "decisions/0002-dependencies.html"),
        ("hardener/snapshot.schema.json", "files/hardener/snapshot.schema.json"),
    ],
)  # fmt: skip
def test_each_source_file_has_its_address_on_the_documentation_site(path: str, where: str) -> None:
    assert address(path) == where
