"""Play: sessions and rounds as explicit state machines with append-only history."""
