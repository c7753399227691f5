"""Least privilege for a container: what it was recorded to use, and the confinement that follows from it."""
