"""The console on the admin listener: metrics, live counters and, after a demo, its summary."""
