"""What answers a read: the Groq SDK over HTTP, or the deterministic aligner."""
