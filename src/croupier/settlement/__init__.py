"""Settlement: closing sessions to zero, fairness, and what finance and regulators check."""
