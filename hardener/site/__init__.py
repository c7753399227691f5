"""Make static pages about the history: inventories, groups, hosts, controls, runs, waivers.

``front``, ``hosts`` and ``control_hosts`` make the pages of what ``fleet`` collects, ``rendering`` writes
their HTML, ``place`` their addresses, and ``folder`` the files. ``hardener.workflows.site`` gives the runs.
"""
