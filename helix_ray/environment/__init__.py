"""Where this process runs: the folder HELIX_HOME, its lock, the run file, and the secrets."""
