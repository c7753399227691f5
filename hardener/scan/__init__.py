"""What scans found: the record that a host keeps of its own, and the reports of other scanners."""
