"""Static pages over the history: inventories, groups, hosts, controls, runs, waivers.

``views`` computes what pages show, ``rendering`` gives their HTML, ``names`` the file of each, and ``folder``
keeps the files. Only ``folder`` writes anything; ``hardener.workflows.site`` brings the runs.
"""
