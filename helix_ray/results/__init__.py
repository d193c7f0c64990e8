"""What a run leaves behind: the report, and its table for people."""
