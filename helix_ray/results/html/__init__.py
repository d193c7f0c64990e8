"""The report as one self-contained HTML page: no script, nothing from elsewhere, every outside text escaped."""

from helix_ray.results.html.page import render_html

__all__ = ["render_html"]
