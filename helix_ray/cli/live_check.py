"""``helix live-check``: the former name of ``helix doctor --probe``."""

from helix_ray.cli.doctor import probe as live_check

__all__ = ["live_check"]
