"""Least privilege for containers: what they may do, what they were recorded to use, what follows. Pure."""
