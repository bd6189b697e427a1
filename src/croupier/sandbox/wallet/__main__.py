"""`python -m croupier.sandbox.wallet`: the same as `croupier sandbox wallet`, as a process of its own."""

import runpy

if __name__ == "__main__":
    # Run, not imported: the wallet is a stranger to the rest of the package, its command line is not.
    runpy.run_module("croupier.cli.sandbox_wallet", run_name="__main__")
