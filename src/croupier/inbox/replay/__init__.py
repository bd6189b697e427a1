"""Replay: a window of the raw store taken through the money path again, planned first and proven afterwards (E5)."""
