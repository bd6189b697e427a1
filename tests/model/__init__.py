"""Test code that is not a test: builders of calls, a desk to decide them at, and a second, simpler ledger."""
