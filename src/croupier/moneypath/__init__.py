"""The one guarded write path for money: command in, facts loaded, decision made purely, everything written at once."""
