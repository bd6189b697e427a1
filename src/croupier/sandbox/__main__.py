"""`python -m croupier.sandbox`: the same as `croupier sandbox`, as a process of its own."""

import runpy

if __name__ == "__main__":
    # Run, not imported: the sandbox is a stranger to the rest of the package, its command line is not.
    runpy.run_module("croupier.cli.sandbox", run_name="__main__")
