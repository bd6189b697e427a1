"""The operator's own wallet: the contract it is called by, and what calls it."""
