"""Real programs in containers, and their profiles under attack."""
