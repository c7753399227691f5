"""Compute the pages of the site: what each shows, and where its links lead. One file a kind of page."""
