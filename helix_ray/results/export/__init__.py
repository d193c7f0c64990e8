"""What leaves the system for other tools: truth, reads, windows and results in the field's file formats."""

from __future__ import annotations

from helix_ray.results.export.export import Export, Origin
from helix_ray.results.export.folder import new_folder
from helix_ray.results.export.formats import Format

__all__ = ["Export", "Format", "Origin", "new_folder"]
