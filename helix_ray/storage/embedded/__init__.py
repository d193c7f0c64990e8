"""The PostgreSQL server of a HELIX_HOME."""

from helix_ray.storage.embedded.server import EmbeddedServer, embedded_url, kept_running, stop

__all__ = ["EmbeddedServer", "embedded_url", "kept_running", "stop"]
