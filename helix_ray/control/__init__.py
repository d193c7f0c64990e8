"""Commands, their log, and the state that they want."""
