"""A read-only root, and the folders in memory that take the place of written ones."""

from __future__ import annotations

import pytest

from hardener.reports.profile_page import markdown
from hardener.workload.artefacts import artefacts
from hardener.workload.page import sections
from tests.unit.workload.made import profile, recorded


@pytest.mark.parametrize(
    ("written", "folders", "obstacles"),
    [
        (["/run/a.pid", "/run/b/c", "/tmp/x"], ["/run", "/tmp"], []),
        (["/var/lib/data/x", "/proc/1/oom_adj", "/dev/shm/x", "/etc/hosts"], [], []),
        (["/etc/app/made"], [], ["other files of /etc/app may be needed"]),
        (["/srv/web/cache/x"], [], ["may be needed"]),
        (["/var/log/x"], ["/var/log"], []),
        (["/etc/passwd", "/x", "/var/x"], [], ["in place of /etc", "in place of /", "in place of /var"]),
        (["/run/a:b/x", "/run/a,b/x"], [], ["with a comma", "with a colon"]),
        (["relative", "/a/../b/x", "/a//b"], [], ["the path is relative, not normalised"] * 3),
        (["/var/lib/database/x"], ["/var/lib/database"], []),  # the mount is /var/lib/data
    ],
)
def test_tmpfs_mounts_replace_only_folders_that_they_do_not_hide(
    written: list[str], folders: list[str], obstacles: list[str]
) -> None:
    found = profile(recorded(files__created=written)).document.root
    assert [each.path for each in found.tmpfs] == folders
    assert len(found.obstacles) == len(obstacles)
    for expected in obstacles:
        assert any(expected in each.why for each in found.obstacles)


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("target", "created", "obstacles"),
    [
        ("/etc/app/site.conf", ["/etc/app", "/etc/app/site.conf"], []),
        ("/srv/www", ["/srv/www"], []),
        ("/srv/www/", ["/srv/www", "/srv/www/x"], []),
        ("/etc/app/site.conf", ["/etc/app", "/etc/app/site.conf", "/etc/app/x"], ["/etc/app/x"]),
        ("/etc/app", ["/etc/application"], ["/etc/application"]),
    ],
)
def test_a_mount_point_that_the_engine_made_leaves_the_root_read_only(
    target: str, created: list[str], obstacles: list[str], read_only: bool
) -> None:
    data = recorded(files__created=created, files__written=[f"/{target.split('/')[1]}"])
    data["container"]["mounts"] = [{"kind": "bind", "target": target, "read_only": read_only}]
    assert [each.path for each in profile(data).document.root.obstacles] == obstacles


def test_a_folder_whose_entries_changed_is_not_a_written_file() -> None:
    """As an engine tells it: a folder has changed where a file came into it, and so have those around it."""
    found = profile(
        recorded(
            files__written=["/var/spool", "/var/spool/old", "/run", "/var", "/var/lib", "/var/lib/nginx"],
            files__created=["/run/nginx.pid", "/var/lib/nginx/body"],
            files__deleted=["/var/spool/old/x"],
        )
    )
    assert [each.path for each in found.document.root.tmpfs] == ["/run", "/var/lib/nginx", "/var/spool/old"]
    assert found.document.root.obstacles == ()


def test_a_folder_with_only_temporary_files_is_writable_under_the_profile() -> None:
    """A temporary file that is removed at once is in no list of changes, and fails under a read-only root."""
    found = profile(recorded(files__written=["/tmp/", "/tmp", "/dev/shm/", "/var/lib/data/"], files__read=[]))
    assert "/tmp" in [each.path for each in found.document.root.tmpfs]
    assert found.document.root.obstacles == ()
    assert '"/tmp/**" rwkl' in artefacts(found.document)["apparmor"]
    new = profile(recorded(files__created=["/run/a/b"], files__written=["/run/a/b/"], files__read=[]))
    assert [each.path for each in new.document.root.tmpfs] == ["/run/a"]
    found = profile(recorded(files__written=["/srv/"], files__read=[]))
    assert [each.path for each in found.document.root.obstacles] == ["/srv/"]
    assert '"/srv/*" rwkl' in artefacts(found.document)["apparmor"]


def test_a_written_path_that_no_tmpfs_can_replace_leaves_the_root_writable() -> None:
    found = profile(recorded(files__created=["/etc/x", "/run/y"]))
    assert not found.document.root.read_only
    text = artefacts(found.document)["docker-run.txt"]
    assert "--read-only" not in text
    assert "--tmpfs" not in text
    assert "`/etc/x`" in markdown(sections(found))


def test_tmpfs_folders_keep_owner_and_mode() -> None:
    data = recorded(files__created=["/run/app/tool"], files__executed=["/run/app/tool"])
    data["capabilities"][0]["name"] = "CAP_SETUID"
    data["files"]["owners"] = {"/run/app": {"uid": 33, "gid": 4, "mode": 0o750}}
    text = artefacts(profile(data).document)["docker-run.txt"]
    assert "--tmpfs=/run/app:rw,nosuid,nodev,size=256m,exec,mode=0750,uid=33,gid=4\n" in text


def test_folders_of_the_image_stay_below_a_tmpfs() -> None:
    root = {"uid": 0, "gid": 0, "mode": 0o755}
    data = recorded(files__created=["/run/pid", "/run/made", "/run/made/x"])
    folders = ("/run/sshd", "/run/sshd/in", "/run/made", "/lib/other", "/run/a,b")
    data["files"]["folders"] = dict.fromkeys(folders, root)
    found = profile(data)
    assert [each.path for each in found.document.root.tmpfs] == ["/run", "/run/sshd", "/run/sshd/in"]
    made = artefacts(found.document)
    assert (
        "--tmpfs=/run/sshd/in:rw,nosuid,nodev,size=256m,noexec,mode=0755,uid=0,gid=0\n"
        in made["docker-run.txt"]
    )
    assert '"/run/**" rwkl' in made["apparmor"]
    assert "/run/sshd" not in made["apparmor"]


@pytest.mark.parametrize(
    ("written", "hidden"),
    [
        ("/var/lib/ldap/data.mdb", True),
        ("/var/lib/ldap/", False),
        ("/run/app", False),
        ("/var/log/app", False),
    ],
)
def test_a_file_of_the_image_that_is_changed_is_not_hidden(written: str, hidden: bool) -> None:
    data = recorded(files__created=[], files__written=[written])
    data["files"]["folders"] = {"/run/app": {"uid": 0, "gid": 0, "mode": 0o755}}
    found = profile(data)
    assert found.document.root.read_only is not hidden
    assert [each.why for each in found.document.root.obstacles] == [
        f"an empty folder in place of /var/lib/ldap would hide {written}, which is used"
    ] * hidden


@pytest.mark.parametrize(("name", "executable"), [("a.so", True), ("a.so.1.2", True), ("a.sock", False)])
def test_a_library_that_is_made_can_be_loaded(name: str, executable: bool) -> None:
    data = recorded(files__created=[f"/var/lib/made/{name}"], files__executed=["/bin/x"])
    text = artefacts(profile(data).document)["docker-run.txt"]
    assert ("noexec" in text) is not executable
