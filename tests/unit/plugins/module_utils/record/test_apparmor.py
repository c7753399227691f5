"""A profile of AppArmor is loaded under the name of a run, and nothing else in it changes."""

from __future__ import annotations

from ansible_collections.hardener.docker.plugins.module_utils.record import apparmor

RUN = "0123456789abcdef"
TEXT = """profile "hardener-web" flags=(attach_disconnected) {
  signal (send, receive) peer="hardener-web",
  "/srv/hardener-web/page" r,
  "/srv/hardener-web" r,
}
"""


def test_a_renamed_profile_changes_only_in_its_name() -> None:
    found = apparmor.renamed(TEXT, "hardener-web", RUN)
    assert found.count(f'"hardener-twin-{RUN}"') == 2
    assert found.count("/srv/hardener-web") == 2
    assert '"hardener-web"' not in found
