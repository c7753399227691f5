"""What the page of a profile says of its recordings."""

from __future__ import annotations

from hardener.reports.profile_page import markdown
from hardener.workload.page import sections
from tests.unit.workload.made import profile, recorded


def test_the_page_says_that_a_container_itself_was_recorded() -> None:
    restarted = recorded(twin={"network": "original"}, ended="2026-11-27T10:00:00Z")
    sentence = "recorded on the container itself, after a restart"
    assert f"\n{sentence}\n" in markdown(sections(profile(restarted)))
    assert f"\n1 of 2 {sentence}\n" in markdown(sections(profile(restarted, recorded())))
    assert sentence not in markdown(sections(profile(recorded())))


def test_the_page_names_unexercised_phases_and_gaps() -> None:
    page = markdown(sections(profile(recorded(recorder={"complete": False, "missing": ["3 records lost"]}))))
    assert "- `reload`: not exercised: `the image declares no way`" in page
    assert "Not observed: `3 records lost`" in page
    assert "The recording is incomplete." in page


def test_the_page_of_one_recording_advises_a_second_recording() -> None:
    asks = "Record the container again, and name all recordings."
    assert asks in markdown(sections(profile(recorded())))
    assert asks not in markdown(sections(profile(recorded(), recorded(began="2026-11-27T08:10:00Z"))))


def test_the_page_names_the_users_of_files_and_networks() -> None:
    by = {"phases": ["start-empty", "serve"], "programs": ["logger", "web"]}
    data = recorded(files__created=["/run/web/pid", "/srv/x"], files__executed=["/bin/web"])
    data["files"] |= {"used_by": dict.fromkeys(("/run/web/pid", "/srv/x", "/bin/web"), by)}
    data["network"]["families"] = {"AF_INET": by}
    reason = "by logger, web in start-empty, serve (1 of 1)"
    text = markdown(sections(profile(data))).replace("\\", "").replace("`", "")
    for line in (
        "an empty folder in place of /srv would hide files of the image; changed",
        "it was executed: /bin/web",
        "it was written: /srv/x",
        "sockets of this family were requested: AF_INET",
    ):
        assert f"{line} {reason}" in text
    del data["files"]["created"][1:]
    assert f"written: /run/web/pid {reason}" in markdown(sections(profile(data))).replace("\\", "").replace(
        "`", ""
    )


def test_the_page_reports_what_hardener_changes_in_the_default() -> None:
    socket = {"phases": ["serve"], "programs": ["web"]}
    text = markdown(sections(profile(recorded(calls__x86_64__socket=socket)))).replace("\\", "")
    assert "Added by hardener: socket(AF_ALG) is refused, which the default permits" in text
    assert "fail with ENOSYS, as in an older kernel" in text
    with_ciphers = recorded(
        calls__x86_64__socket=socket, network__families={"AF_ALG": socket, "AF_INET": socket}
    )
    assert "Added by hardener" not in markdown(sections(profile(with_ciphers)))
