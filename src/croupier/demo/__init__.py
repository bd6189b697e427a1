"""The demo: a whole deployment in one command, attacked while it plays, and judged afterwards."""
