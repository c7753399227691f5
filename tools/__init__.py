"""Programs of the repository's own: what runs, measures and prepares its tests."""
