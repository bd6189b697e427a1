"""The conformance kit for an operator's own wallet: a stranger that calls it as the gateway would, and judges."""
