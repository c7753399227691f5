"""Regular expressions of the project: find them all, prove them linear, and measure them on hostile input."""
