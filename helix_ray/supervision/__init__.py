"""Pure judgement about a live run: who is alive, whether restarts get anywhere, how the run ends."""
