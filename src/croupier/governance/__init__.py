"""Who may change what and how it is remembered: the audit log, and the keys shared with providers."""
