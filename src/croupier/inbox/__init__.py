"""Webhooks from providers: intake, queue, dead letters and replay."""
