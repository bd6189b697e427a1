"""Telemetry: frozen records in, nothing back. No domain module waits for it or asks it anything."""
