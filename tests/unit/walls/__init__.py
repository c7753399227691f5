"""Rules of docs/architecture.md about imports, single places and on-host programs, read from the source."""
