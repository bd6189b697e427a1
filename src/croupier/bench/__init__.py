"""Benchmarks that start everything themselves and compare designs in one run, because only ratios of one run count."""
