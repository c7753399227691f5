"""Write assessments as reports: one module for each file format, behind the interface in ``interface``.

What a terminal shows is in ``terminal``; ``summary`` and ``comparison`` count what it shows.
"""
