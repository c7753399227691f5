"""Whose a denial was: the process may be gone, and its number another's."""

from __future__ import annotations

from ansible_collections.hardener.docker.plugins.module_utils.activity.containers import Container, Directory

A, B = "a" * 64, "b" * 64


def test_an_apparmor_profile_or_selinux_label_of_one_container_identifies_it() -> None:
    directory = Directory()
    directory.put(Container(A, "web", "nginx", profile="web-profile"))
    directory.put(Container(B, "db", "pg", profile="docker-default", label="s:r:t:s0:c1,c2"))
    assert directory.by_confinement("web-profile", 5.0) == A
    assert directory.by_confinement("web-profile//null-/bin/sh", 5.0) == A
    assert directory.by_confinement("s:r:t:s0:c1,c2", 5.0) == B
    assert directory.by_confinement("s:r:t:s0:c1", 5.0) == ""
    assert directory.by_confinement("unconfined", 5.0) == ""
    assert directory.by_confinement("", 5.0) == ""


def test_an_apparmor_profile_of_two_containers_identifies_neither() -> None:
    directory = Directory()
    directory.put(Container(A, "web", "nginx", profile="site"))
    directory.put(Container(B, "db", "pg", profile="site"))
    assert directory.by_confinement("site", 100.0) == ""
    directory.end(B, now=101.0)
    assert directory.by_confinement("site", 100.0) == ""  # it ran then
    assert directory.by_confinement("site", 110.0) == A
    assert [each.name for each in directory.running()] == ["web"]


def test_the_engines_own_apparmor_profile_identifies_no_container() -> None:
    directory = Directory()
    directory.put(Container(A, "web", "nginx", profile="docker-default"))
    assert directory.by_confinement("docker-default", 5.0) == ""


def test_apparmor_profiles_and_selinux_labels_of_containers_are_recognised() -> None:
    directory = Directory()
    directory.put(Container(A, "web", "nginx", profile="site", label="s:r:t:s0:c1,c2"))
    for confinement in ("docker-default", "site", "site//null-/bin/sh", "s:r:t:s0:c1,c2"):
        assert directory.confines(confinement)
    for confinement in ("", "unconfined", "/usr/sbin/cupsd", "s:r:t:s0"):
        assert not directory.confines(confinement)


def test_no_container_is_identified_while_one_with_an_unknown_apparmor_profile_ran() -> None:
    directory = Directory()
    directory.put(Container(A, "web", "nginx", profile="site"))
    directory.put(Container(B, "gone", "pg", ended=101.0, inspected=False))
    assert directory.by_confinement("site", 100.0) == ""
    assert directory.by_confinement("site", 110.0) == A


def test_above_the_limit_of_known_containers_ended_ones_are_forgotten() -> None:
    directory = Directory()
    directory.put(Container(A, "web", "nginx"))
    for number in range(5000):
        identity = f"{number:064x}"
        directory.put(Container(identity, "", "", ended=1.0))
    assert directory.get(A).name == "web"
    assert not directory.knows(f"{0:064x}")
    assert directory.knows(f"{4999:064x}")
