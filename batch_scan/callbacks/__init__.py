"""What vendors post to us while a run goes on: a receiver, and a letter box for each service."""
