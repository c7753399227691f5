from __future__ import annotations

import pytest

from hardener.checks.lib.local_images import Image, expanded_reference, repository_name


@pytest.mark.parametrize(
    ("reference", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("grafana/loki", "docker.io/grafana/loki:latest"),
        ("index.docker.io/library/nginx:1", "docker.io/library/nginx:1"),
        ("docker.io/nginx", "docker.io/library/nginx:latest"),
        ("ghcr.io/a/b:c", "ghcr.io/a/b:c"),
        ("localhost/web", "localhost/web:latest"),
        ("registry:5000/web", "registry:5000/web:latest"),
        ("web@sha256:0a", "docker.io/library/web@sha256:0a"),
        ("ghcr.io/a/b:c@sha256:0a", "ghcr.io/a/b@sha256:0a"),
    ],
)
def test_names_are_expanded_with_registry_and_tag(reference: str, full: str) -> None:
    assert expanded_reference(reference) == full


def test_a_repository_name_has_no_tag_and_digest() -> None:
    assert repository_name("ghcr.io/a/b:c@sha256:0a") == "ghcr.io/a/b"
    assert repository_name("registry:5000/web") == "registry:5000/web"


@pytest.mark.parametrize(
    ("inspect", "name"),
    [
        ({"Id": "sha256:67df816ec08690cb", "RepoTags": ["web:1", "web:2"]}, "web:1"),
        (
            {"Id": "sha256:67df816ec08690cb", "RepoTags": None, "RepoDigests": ["web@sha256:0a"]},
            "web@sha256:0a",
        ),
        (
            {
                "Id": "sha256:67df816ec08690cb",
                "RepoTags": ["<none>:<none>"],
                "RepoDigests": ["<none>@<none>"],
            },
            "67df816ec086",
        ),
    ],
)
def test_an_image_is_named_by_its_tag_or_else_by_its_digest_or_id(
    inspect: dict[str, object], name: str
) -> None:
    assert Image(inspect, ()).name == name
