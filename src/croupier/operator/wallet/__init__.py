"""The operator's own wallet: asked before money is taken, told what a player gets, and never guessed about."""
