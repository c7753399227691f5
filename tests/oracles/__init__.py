"""Generated cases whose verdicts are compared with what really happens."""
