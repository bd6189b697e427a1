"""A process that says it is ready only if no variable overrides its configuration."""

import os
import sys

from croupier.runtime.orders import READY_LINE

if not any(name.startswith("CROUPIER_") for name in os.environ):
    sys.stdout.buffer.write(READY_LINE)
    sys.stdout.flush()
sys.stdin.read()
