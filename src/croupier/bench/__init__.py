"""Benchmarks that start everything themselves and compare designs within one run: only ratios count."""
