"""The trainer: a process of its own in an environment of its own, the only place with torch."""
