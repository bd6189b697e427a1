"""Timers executed: what is due is claimed by a lease, judged, decided on the money path, and set anew."""
