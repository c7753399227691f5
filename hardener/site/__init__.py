"""Make static pages about the history: inventories, groups, hosts, controls, runs, waivers.

``views`` computes the content of pages, ``rendering`` their HTML, ``names`` their file names, and ``folder``
writes the files. ``hardener.workflows.site`` provides the runs.
"""
