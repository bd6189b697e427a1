"""A candidate adapter reads along: it decodes the verified calls of an account, and what it would do is compared."""
