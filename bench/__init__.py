"""Benchmarks; docs/performance.md has the results, and describes how to repeat them."""
