"""A person's compose file: the settings get in, and every other character stays."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hardener.errors import HardenerError
from hardener.workload.compose import difference, edited

SETTINGS: dict[str, Any] = {
    "privileged": False,
    "cap_drop": ["ALL"],
    "cap_add": ["CHOWN", "SETUID"],
    "security_opt": ["seccomp=./profile/seccomp.json", "no-new-privileges=true"],
    "read_only": True,
    "tmpfs": ["/run:rw,nosuid"],
}

FILE = """\
# the shop
x-base: &base
    restart: always   # for ever
services:
    web:   # the site
        <<: *base
        image: "nginx:${TAG:-1}"   # pinned
        cap_add:
            - NET_ADMIN  # for a tunnel
            - CHOWN      # of uploads
            # more to come
        privileged: true # for now
        tmpfs: /tmp
        ports: ["80:80"]

    # the database
    db:
        <<: *base
        image: postgres
        command: |
            postgres
            -c fsync=off

volumes: {}
"""

CHANGED = """\
# the shop
x-base: &base
    restart: always   # for ever
services:
    web:   # the site
        <<: *base
        image: "nginx:${TAG:-1}"   # pinned
        cap_add:
            - CHOWN      # of uploads
            - SETUID
            # more to come
        privileged: false # for now
        tmpfs: ["/tmp", "/run:rw,nosuid"]
        ports: ["80:80"]
        cap_drop:
          - ALL
        security_opt:
          - "seccomp=./profile/seccomp.json"
          - "no-new-privileges=true"
        read_only: true

    # the database
    db:
        <<: *base
        image: postgres
        command: |
            postgres
            -c fsync=off

volumes: {}
"""


def change(
    text: str,
    service: str = "web",
    settings: dict[str, Any] = SETTINGS,
    *,
    several: bool = False,
    **recorded: list[str],
) -> str:
    """The changed text, which a second change leaves as it is."""

    def edit(before: str) -> str:
        return edited(
            before,
            settings,
            service=service,
            name="folder/compose.yaml",
            recorded=recorded,
            several=several,
        )

    found = edit(text)
    assert edit(found) == found
    return found


def test_only_the_settings_of_the_profile_change_in_a_compose_file() -> None:
    assert change(FILE) == CHANGED
    assert change(CHANGED) == CHANGED


def test_line_ends_of_a_file_are_preserved() -> None:
    assert change(FILE.replace("\n", "\r\n")) == CHANGED.replace("\n", "\r\n")
    text = "services:\n  web:\n    image: a"
    assert change(text, settings={"read_only": True}) == text + "\n    read_only: true"


def test_a_block_scalar_before_new_settings_is_kept() -> None:
    found = change(FILE, "db", {"read_only": True})
    assert "            -c fsync=off\n        read_only: true\n\nvolumes: {}\n" in found
    assert yaml.safe_load(found)["services"]["db"]["command"] == "postgres\n-c fsync=off\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("cap_add: [NET_ADMIN]  # why", "cap_add: [CHOWN, SETUID]  # why"),
        ("cap_add: [\n  A,\n  B ]", "cap_add: [CHOWN, SETUID]"),
        ("cap_add:", "cap_add: [CHOWN, SETUID]"),
        ("'cap_add' :   ['A']", "'cap_add' : [CHOWN, SETUID]"),
        ("cap_add:\n- A\n# end", "cap_add:\n- CHOWN\n- SETUID\n# end"),
        ("cap_add:\n- SETUID\n-   CHOWN # x", "cap_add:\n- SETUID\n-   CHOWN # x"),
        ("cap_add:\n- CHOWN\n- CHOWN", "cap_add:\n- CHOWN\n- SETUID"),
        ("cap_add: !override\n- A\n- CHOWN", "cap_add: !override [CHOWN, SETUID]"),
        ("cap_add: !override [CHOWN, SETUID]", "cap_add: !override [CHOWN, SETUID]"),
        ("cap_add: &caps\n- CHOWN", None),
    ],
)
def test_lists_in_unknown_layouts_are_refused_and_others_changed(before: str, after: str | None) -> None:
    def file(line: str) -> str:
        indented = "\n".join(f"    {each}" for each in line.split("\n"))
        return f"services:\n  web:\n    image: a\n{indented}\n    user: b # c\n  db:\n    image: b\n"

    settings = {"cap_add": ["CHOWN", "SETUID"]}
    if after is None:
        with pytest.raises(HardenerError, match=r"layout.*compose\.override\.yaml"):
            change(file(before), settings=settings)
        return
    assert change(file(before), settings=settings) == file(after)


def test_a_list_can_become_empty() -> None:
    text = "services:\n  web:\n    cap_add:\n      - A # x\n    image: a\n"
    assert change(text, settings={"cap_add": []}) == "services:\n  web:\n    cap_add: []\n    image: a\n"


def test_an_empty_list_is_written_only_in_place_of_another_one() -> None:
    text = "x: &x {cap_add: [A]}\nservices:\n  web:\n    <<: *x\n"
    settings: dict[str, Any] = {"cap_add": [], "security_opt": []}
    assert change(text, settings=settings) == text + "    cap_add: []\n"


def test_an_alias_is_replaced_where_it_is_used() -> None:
    text = "x: &caps [A]\nservices:\n  web:\n    cap_add: *caps # all\n  db:\n    cap_add: *caps\n"
    expected = text.replace("cap_add: *caps # all", "cap_add: [CHOWN] # all")
    assert change(text, settings={"cap_add": ["CHOWN"]}) == expected


def test_a_service_that_extends_another_replaces_its_lists_but_not_its_folders_in_memory() -> None:
    text = "services:\n  web:\n    extends: {file: base.yaml, service: web}\n"
    settings = {"cap_add": ["CHOWN"], "security_opt": [], "tmpfs": ["/run"]}
    found = change(text, settings=settings)
    added = (
        '    cap_add: !override\n      - CHOWN\n    security_opt: !override []\n    tmpfs:\n      - "/run"\n'
    )
    assert found == text + added


def test_folders_in_memory_of_a_merge_key_stay() -> None:
    text = "x: &x {tmpfs: /tmp}\ny: &y {<<: [*x]}\nservices:\n  web:\n    <<: *y\n"
    assert change(text, settings={"tmpfs": ["/run"]}) == text + '    tmpfs:\n      - "/tmp"\n      - "/run"\n'


@pytest.mark.parametrize(
    ("own", "recorded", "inherited"),
    [
        ("", [], False),
        ("", ["NET_ADMIN"], True),
        ("    cap_add: [cap_net_admin]\n", ["NET_ADMIN"], False),
        ("    cap_add: [NET_ADMIN]\n", ["NET_ADMIN", "CAP_SYS_TIME"], True),
        ("    cap_add: [KILL]\n", ["NET_ADMIN", "KILL"], True),
    ],
)
def test_a_list_replaces_the_values_that_the_container_has_from_another_file(
    own: str, recorded: list[str], inherited: bool
) -> None:
    text = f"services:\n  web:\n    image: a\n{own}"
    found = change(text, settings={"cap_add": ["CHOWN"]}, cap_add=recorded)
    assert ("!override" in found) is inherited
    found = change(text, settings={"cap_add": ["CHOWN"]}, cap_add=recorded, several=True)
    assert "cap_add: !override" in found


@pytest.mark.parametrize(
    ("own", "after"),
    [
        ("cap_add: [CHOWN]", "cap_add: !override [CHOWN]"),
        ("cap_add: !reset [SYS_TIME]", "cap_add: !override [CHOWN]"),
        ("cap_add: !reset [CHOWN]", "cap_add: !override [CHOWN]"),
        ("cap_add: !reset null", "cap_add: !override [CHOWN]"),
        ("cap_add: null", "cap_add: !override [CHOWN]"),
        ("cap_add: !other [CHOWN]", None),
        ("read_only: !reset null", None),
    ],
)
def test_a_list_of_one_of_several_files_replaces_the_others(own: str, after: str | None) -> None:
    text = "services:\n  web:\n    image: a\n    "
    settings = {"cap_add": ["CHOWN"], **({"read_only": True} if "read_only" in own else {})}
    if after is None:
        with pytest.raises(HardenerError, match=r"layout.*compose\.override\.yaml"):
            change(f"{text}{own}\n", settings=settings, several=True)
        return
    assert change(f"{text}{own}\n", settings=settings, several=True) == f"{text}{after}\n"


@pytest.mark.parametrize(
    ("own", "after"),
    [
        ("tmpfs: !override [/a]", 'tmpfs: !override ["/a", "/run"]'),
        ("tmpfs: !reset [/a]", 'tmpfs: !override ["/run"]'),
        ("tmpfs: ~", 'tmpfs: ["/run"]'),
        ("tmpfs: null", 'tmpfs: ["/run"]'),
        ("<<: {tmpfs: /a}\n    tmpfs: !reset null", '<<: {tmpfs: /a}\n    tmpfs: !override ["/a", "/run"]'),
    ],
)
def test_folders_in_memory_keep_their_tag(own: str, after: str) -> None:
    text = "services:\n  web:\n    "
    assert change(f"{text}{own}\n", settings={"tmpfs": ["/run"]}, several=True) == f"{text}{after}\n"


def test_an_order_of_a_list_is_kept() -> None:
    text = "services:\n  web:\n    cap_add:\n    - SETUID\n    - NET_ADMIN\n    - CHOWN # x\n"
    found = change(text, settings={"cap_add": ["CHOWN", "SETUID"]}, cap_add=["SETUID", "NET_ADMIN", "CHOWN"])
    assert found == text.replace("    - NET_ADMIN\n", "")


@pytest.mark.parametrize(
    "own",
    [
        "pids_limit: 99 # measured under load",
        "mem_limit: 1g",
        "deploy: {resources: {limits: {pids: 99, memory: 1g}}}",
        "deploy:\n      resources:\n        limits:\n          pids: '99'",
        "<<: {pids_limit: 99}",
    ],
)
def test_limits_of_a_service_stay_as_they_are(own: str) -> None:
    text = f"services:\n  web:\n    image: a\n    {own}\n"
    assert change(text, settings={"read_only": True}) == f"{text}    read_only: true\n"


ANCHORED = "services:\n  web: &web\n    image: a\n  job:\n    <<: *web\n    command: b\n"
EXTENDED = "services:\n  web:\n    image: a\n  job:\n    extends:\n      service: web\n"
MERGED = "x: &x {extends: web}\nservices:\n  web:\n    image: a\n  job:\n    <<: *x\n"
LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no services"),
        ("[]", "has no services"),
        ("services: 7", "has no services"),
        ("services: {db: {image: a}}", "has no service web (it has db)"),
        ("services: {web: {image: a}}", "in flow style"),
        ("services:\n  web:\n", "has no settings"),
        ("services:\n  web: 7\n", "has no settings"),
        ("x: &x\n  image: a\nservices:\n  web: *x\n", "alias of another value"),
        ("services:\n  web:\n   - a\n", "has no settings"),
        ("services:\n\tweb: a", "is not a compose file: line 2"),
        ("services: *nothing", "is not a compose file"),
        ("a: 1\n---\nb: 2\n", "is not a compose file"),
        ("[" * 100_000, "nested too deeply"),
        (ANCHORED, "another service takes settings from web"),
        (EXTENDED, "service job extends web"),
        (EXTENDED.replace("\n      service: web", " web"), "service job extends web"),
        (
            EXTENDED.replace("service: web", "service: web\n      file: ./compose.yaml"),
            "service job extends web",
        ),
        (MERGED, "service job extends web"),
        (EXTENDED.replace("service: web", "service: '${X:-web}'"), "service job extends web"),
        (EXTENDED.replace("service: web", "service: web\n      file: ${X}.yaml"), "service job extends web"),
        (
            "x: &x {job: {extends: web}}\nservices:\n  <<: *x\n  web:\n    image: a\n",
            "service job extends web",
        ),
        (LAUGHS + "services:\n  web:\n    image: a\n", "the compose file has more than"),
        ("#" * 300_000, "has more than"),
        ("services:\n  web: &web\n    <<: *web\n    image: a\n", "nested too deeply"),
        ("services:\n  web:\n    deploy: &d\n      <<: *d\n", "nested too deeply"),
        ("services:\n  \x1b[2J:\n    image: a\n", "is not a compose file"),
    ],
)
def test_an_unsupported_layout_is_refused(text: str, message: str) -> None:
    with pytest.raises(HardenerError) as error:
        change(text)
    assert message in str(error.value)
    assert "\x1b" not in str(error.value)


NAMES = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp", "Co", "Cn")), min_size=1, max_size=20
)


@given(st.lists(NAMES, min_size=1, max_size=4, unique=True), NAMES)
def test_hostile_names_are_quoted(names: list[str], service: str) -> None:
    settings = {"security_opt": names, "user": names[0]}
    text = yaml.safe_dump(
        {"services": {service: {"image": "a", "security_opt": ["x"]}, service + "2": {"image": "b"}}}
    )
    found = yaml.safe_load(change(text, service, settings))["services"]
    assert sorted(found[service]["security_opt"]) == sorted(names)
    assert found[service]["user"] == names[0]
    assert found[service + "2"] == {"image": "b"}


SCALARS = st.sampled_from(
    [
        "a",
        '"b: c"',
        "'d # e'",
        "7",
        "|\n        x\n\n        y",
        ">-\n        z\n",
        "*anchor",
        "",
        "{a: 1}",
        "[1,\n        2]",
    ]
)
KEYS = st.sampled_from(["image", "ports", "command", "labels", "user", "cap_add", "tmpfs", "x-any"])
GAPS = st.sampled_from(["", "\n", "    # note\n", "\n\n    # note\n\n", "# far out\n"])


@given(st.dictionaries(KEYS, st.tuples(SCALARS, GAPS), min_size=1, max_size=6), st.booleans())
def test_generated_files_change_only_in_their_service(
    service: dict[str, tuple[str, str]], windows: bool
) -> None:
    lines = "".join(f"    {key}: {value}\n{gap}" for key, (value, gap) in service.items())
    text = f"x: &anchor [q]\nservices:\n  web:\n{lines}  db: # kept\n    image: *anchor\n"
    if windows:
        text = text.replace("\n", "\r\n")
    settings = {"cap_add": ["CHOWN"], "user": "5:5", "read_only": True}
    try:
        found = change(text, settings=settings)
    except HardenerError as error:
        assert "layout" in str(error)  # noqa: PT017
        return
    before, after = (yaml.safe_load(each) for each in (text, found))
    assert after["services"]["web"] == {**before["services"]["web"], **settings}
    assert after["services"]["db"] == before["services"]["db"]
    assert change(found, settings=settings) == found
    removed = [line for line in difference(text, found, name="x").split("\n")[2:] if line.startswith("-")]
    assert all(line[1:].strip().partition(":")[0] in (*settings, "x", "y", "z", "2]", "") for line in removed)


def test_the_difference_between_compose_files_is_a_unified_diff() -> None:
    found = difference("a\nb\n", "a\nc\n", name="x\ny")
    assert found == "--- x y\n+++ x y\n@@ -1,3 +1,3 @@\n a\n-b\n+c\n \n"
    assert difference("a", "a", name="x") == ""
