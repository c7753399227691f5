"""Least privilege for containers: their privileges, their recorded use, and the resulting profile. Pure."""
