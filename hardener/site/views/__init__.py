"""Compute the pages of the site: their content and links. One file for each kind of page."""
