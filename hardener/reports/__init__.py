"""Show assessments: one file format a module, behind the small interface in ``interface``.

What a terminal shows is in ``terminal``; ``summary`` and ``comparison`` count what it shows.
"""
