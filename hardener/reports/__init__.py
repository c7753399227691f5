"""Write assessments as reports: one module for each file format, behind the interface in ``interface``.

Screens of the terminal are in ``terminal``; ``summary`` and ``comparison`` count.
"""
