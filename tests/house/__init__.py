"""Our own rules as tests: a rule is a function from a file to findings, and has a sample it must report."""
