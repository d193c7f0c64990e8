"""One session of a run: prepared, watched, recovered, closed."""
