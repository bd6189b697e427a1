"""The command line: `croupier`, one module for each group of commands."""
