"""Feature flags: which there are, whom they are on for, and the guards that halt a rollout by themselves."""
