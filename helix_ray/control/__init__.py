"""Commands, their log, and the state that they ask for."""
