"""Real programs in containers, and what becomes of them under the profile that hardener makes."""
