"""Programs for development: they generate documentation and packages, and check both."""
