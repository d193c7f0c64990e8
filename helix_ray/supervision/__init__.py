"""Pure decisions about a live run: which actors are alive, whether restarts help, how the run ends."""
