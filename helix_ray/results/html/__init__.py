"""The report as one HTML file that opens anywhere, without a network."""

from helix_ray.results.html.page import render_html

__all__ = ["render_html"]
