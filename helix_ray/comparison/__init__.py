"""Two runs or more on the same reads: paired, compared, and told apart only where the reads tell."""
