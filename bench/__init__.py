"""Benchmarks that anyone can run; results and how to repeat them are in docs/performance.md."""
