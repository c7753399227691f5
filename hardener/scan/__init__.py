"""Read the results of scans: the record of a host's own scan, and the reports of other scanners."""
