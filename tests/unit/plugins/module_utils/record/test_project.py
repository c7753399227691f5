"""Which containers a recording is of, and in which order they start, follows from compose's labels."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.hardener.docker.plugins.module_utils.docker.http import NotFound
from ansible_collections.hardener.docker.plugins.module_utils.host.errors import Failed
from ansible_collections.hardener.docker.plugins.module_utils.record import project

FILE = "/srv/shop/compose.yaml"


def made(
    name: str, *, needs: str = "", running: bool = True, files: str = FILE, **labels: str
) -> dict[str, Any]:
    """What the engine shows of a container of the project."""
    number = labels.pop("number", "1")
    own = {
        "project": "shop",
        "service": name,
        "container-number": number,
        "depends_on": needs,
        "oneoff": "False",
        "config-hash": f"hash-{name}",
        "project.config_files": files,
        **labels,
    }
    return {
        "Id": f"{name}-{number}",
        "Name": f"/shop-{name}-{number}",
        "State": {"Running": running},
        "HostConfig": {},
        "Config": {"Labels": {f"com.docker.compose.{key}": value for key, value in own.items()}},
    }


class FakeEngine:
    """Answers the questions for containers, and no other one."""

    def __init__(self, *containers: dict[str, Any]) -> None:
        self._containers = containers

    def get(self, path: str, query: dict[str, str] | None = None) -> Any:
        """What the engine would answer."""
        if path != "/containers/json":
            identity = path.split("/")[2]
            for each in self._containers:
                if each["Id"] == identity:
                    return each
            raise NotFound("No such container")
        if not query:
            return [
                {"Names": [each["Name"]], "Labels": each["Config"]["Labels"]} for each in self._containers
            ]
        (wanted,) = json.loads((query or {})["filters"])["label"]
        name, _, value = wanted.partition("=")
        return [
            {"Id": each["Id"], "Names": [each["Name"]], "Labels": each["Config"]["Labels"]}
            for each in self._containers
            if value in ("", each["Config"]["Labels"].get(name))
            and name in each["Config"]["Labels"]
            and (each["State"]["Running"] or (query or {}).get("all"))
        ]


def whole(*containers: dict[str, Any], **arguments: Any) -> project.Cast:
    return project.whole(FakeEngine(*containers), {"files": [FILE], **arguments})  # type: ignore[arg-type]


def order(cast: project.Cast) -> list[str]:
    return [member.name for member in cast.members]


def test_services_start_after_their_dependencies() -> None:
    found = whole(
        made("web", needs="app:service_started:false"),
        made("app", needs="db:service_healthy:true,cache:service_started:false,gone:service_started:false"),
        made("db"),
        made("cache"),
    )
    assert order(found) == ["cache", "db", "app", "web"]
    assert found.members[2].needs == {"db": "service_healthy", "cache": "service_started"}
    assert all(member.recorded for member in found.members)
    assert found.remarks == []


def test_services_with_circular_dependencies_are_ordered() -> None:
    found = whole(made("a", needs="b:service_started:false"), made("b", needs="a:service_started:false"))
    assert sorted(order(found)) == ["a", "b"]


def test_one_container_of_each_service_is_selected_and_no_one_off_command() -> None:
    found = whole(
        made("web", number="10"),
        made("web", number="9"),
        made("web", number="2", running=False),
        made("tool", oneoff="True"),
    )
    assert [member.original["Id"] for member in found.members] == ["web-9"]
    assert found.remarks == ["only one of 2 containers of web has a twin"]


def test_a_job_that_others_wait_for_is_run_again() -> None:
    found = whole(
        made("app", needs="migrate:service_completed_successfully:false"),
        made("migrate", running=False),
        made("old", running=False),
    )
    assert order(found) == ["migrate", "app"]
    assert found.remarks == ["the service old does not run: it has no twin"]


def test_containers_that_differ_from_the_compose_file_are_named() -> None:
    found = whole(
        made("web"), made("db"), hashes={"web": "hash-web", "db": "other", "mail": "x"}, remarks=["a"]
    )
    assert found.remarks == [
        "a",
        "the service mail of the compose file has no container",
        "the container of db differs from the compose file: `docker compose up` would recreate it",
    ]


@pytest.mark.parametrize("mode", ["NetworkMode", "PidMode", "IpcMode"])
def test_the_hash_of_a_service_that_refers_to_another_container_is_not_compared(mode: str) -> None:
    side, shares = made("side"), made("shares")
    side["HostConfig"] = {mode: "container:7"}
    shares["HostConfig"] = {"VolumesFrom": ["7"]}
    hashes = {"web": "hash-web", "side": "of the file", "shares": "of the file"}
    assert whole(made("web"), side, shares, hashes=hashes).remarks == []


def test_the_project_is_found_by_its_files_its_name_or_its_default_name() -> None:
    several = made("web", files=f"{FILE},/srv/shop/more.yaml")
    other = made("web", number="7", project="other", files="/o.yaml")
    assert len(whole(several, other).members) == 1
    assert len(whole(several, other, files=[FILE, "/srv/shop/more.yaml"]).members) == 1
    assert whole(several, other, files=["/copied.yaml"], otherwise="shop").members[0].original is several
    assert whole(several, other, project="other").members[0].original is other


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (
            {"files": ["/none.yaml"]},
            r"no running container belongs to this.*: other, shop\): start it by `docker compose up",
        ),
        ({"project": "absent"}, "no service of the project absent runs"),
        ({"files": ["/both.yaml"]}, r"several projects use this compose file \(.*: other, shop\)"),
    ],
)
def test_an_ambiguous_project_is_refused(arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(Failed, match=reason):
        whole(
            made("web", files="/both.yaml"),
            made("web", number="2", project="other", files="/both.yaml"),
            **arguments,
        )


def test_a_twin_is_not_a_container_of_the_project() -> None:
    run = "f" * 16
    twin = made("web", number="2")
    twin["Config"]["Labels"]["hardener.twin"] = run
    pretender = made("db")
    pretender["Config"]["Labels"]["hardener.twin"] = run  # which an image may have as well
    twin["Name"] = f"/hardener-twin-{run}-0-used"
    assert [member.original["Id"] for member in whole(twin, made("app"), pretender).members] == [
        "app-1",
        "db-1",
    ]


def test_hostile_labels_are_escaped() -> None:
    found = whole(made("web"), made("old", running=False, service="\x1b[2J\n"))
    assert found.remarks == ["the service \\x1b[2J\\n does not run: it has no twin"]


def test_a_container_is_recorded_with_the_others_of_its_project() -> None:
    engine = FakeEngine(made("web", number="2"), made("web"), made("db"))
    found = project.around(engine, "web-2")  # type: ignore[arg-type]
    assert [(member.original["Id"], member.recorded) for member in found.members] == [
        ("db-1", False),
        ("web-2", True),
    ]


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("wed", "running containers: shop-db-1, shop-web-1"),
        ("web", "its service runs as shop-web-1"),
        ("\x1b[2J", "running containers: shop-db-1, shop-web-1"),
    ],
)
def test_a_missing_container_is_reported_with_those_that_run(name: str, others: str) -> None:
    with pytest.raises(Failed) as refused:
        project.around(FakeEngine(made("web"), made("db")), name)  # type: ignore[arg-type]
    assert str(refused.value) == f"there is no container {name} ({others})".replace("\x1b", "\\x1b")


def test_many_running_containers_are_not_all_named() -> None:
    with pytest.raises(Failed, match=r"shop-web-19 and 2 more\)$"):
        project.alone(FakeEngine(*(made("web", number=str(each)) for each in range(10, 22))), "x")  # type: ignore[arg-type]


def test_a_container_without_a_project_is_recorded_alone() -> None:
    container = made("web")
    container["Config"]["Labels"] = None
    found = project.around(FakeEngine(container), "web-1")  # type: ignore[arg-type]
    assert [(member.name, member.recorded) for member in found.members] == [("shop-web-1", True)]


@pytest.mark.parametrize(
    ("wanted", "expected"), [("db", "db"), ("shop-web-1", "web"), ("db0123456789", "queue")]
)
def test_a_twin_is_found_by_service_container_or_id(wanted: str, expected: str) -> None:
    queue = {**made("queue"), "Id": "db0123456789abcdef"}
    members = project.whole(FakeEngine(made("web"), queue, made("db")), {"project": "shop"}).members  # type: ignore[arg-type]
    assert members[project.position(members, wanted)].name == expected


def test_a_container_without_a_twin_is_refused() -> None:
    members = project.whole(FakeEngine(made("web")), {"project": "shop"}).members  # type: ignore[arg-type]
    for name in ("old", "web-1", "we"):  # a short id may be meant as a name
        with pytest.raises(Failed, match=f"{name} has no twin in which a command can be run"):
            project.position(members, name)
