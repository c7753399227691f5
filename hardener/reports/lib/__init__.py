"""Share what several report formats write: texts, identifiers, JSON, numbers of plots."""
