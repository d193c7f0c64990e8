"""What leaves the system for other tools: truth, reads, windows and results in the field's file formats."""

from helix_ray.results.export.export import ROWS, Export, Format, Manifest, Origin, new_folder

__all__ = ["ROWS", "Export", "Format", "Manifest", "Origin", "new_folder"]
