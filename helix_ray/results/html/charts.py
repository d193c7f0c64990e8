"""Small charts as inline SVG: they take their colours from the page, and every value is also in a table or a title."""

from __future__ import annotations

from collections.abc import Sequence

from helix_ray.results.html.markup import text

WIDTH, HEIGHT = 520, 240
LEFT, RIGHT, TOP, BOTTOM = 56, 28, 12, 40
PLOT_WIDTH, PLOT_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
ROW = 26

Point = tuple[float, float]


def bars(values: Sequence[tuple[str, int]], x_name: str, y_name: str) -> str:
    """Counts by category."""
    highest = max((value for _, value in values), default=0) or 1
    step = PLOT_WIDTH / max(1, len(values))
    parts = _frame(x_name, y_name, [(0.0, "0"), (1.0, f"{highest:,}")])
    for index, (name, value) in enumerate(values):
        height = PLOT_HEIGHT * value / highest
        left, middle = LEFT + index * step, LEFT + (index + 0.5) * step
        parts.append(
            f'<rect class="mark" x="{left + step * 0.15:.1f}" y="{TOP + PLOT_HEIGHT - height:.1f}" width="{step * 0.7:.1f}" '
            f'height="{height:.1f}"><title>{text(name)}: {value:,}</title></rect>'
        )
        parts.append(f'<text x="{middle:.1f}" y="{TOP + PLOT_HEIGHT + 16}" text-anchor="middle">{text(name)}</text>')
    return _svg(parts, HEIGHT)


def line(points: Sequence[Point], x_name: str, y_name: str, *, diagonal: bool = False) -> str:
    """A curve in the unit square, with its points; ``diagonal``: where both are equal."""
    parts = _frame(x_name, y_name, [(at / 4, f"{at / 4:.2f}") for at in range(5)])
    parts += [
        f'<text x="{LEFT + PLOT_WIDTH * at / 4:.1f}" y="{TOP + PLOT_HEIGHT + 16}" text-anchor="middle">{at / 4:.2f}</text>'
        for at in range(5)
    ]
    if diagonal:
        parts.append(f'<line class="guide" x1="{LEFT}" y1="{TOP + PLOT_HEIGHT}" x2="{LEFT + PLOT_WIDTH}" y2="{TOP}"/>')
    places = [(LEFT + PLOT_WIDTH * x, TOP + PLOT_HEIGHT * (1 - y)) for x, y in points]
    if places:
        parts.append(f'<polyline class="line" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>')
    parts += [
        f'<circle class="mark" cx="{at_x:.1f}" cy="{at_y:.1f}" r="3"><title>{x:.3f}, {y:.3f}</title></circle>'
        for (at_x, at_y), (x, y) in zip(places, points, strict=True)
    ]
    return _svg(parts, HEIGHT)


def intervals(rows: Sequence[tuple[str, float | None, Sequence[float] | None, float | None]]) -> str:
    """A dot with its interval a row, on a scale from 0 to 1, and a tick where the ceiling is. (name, value, interval, ceiling)"""
    height, left = ROW * len(rows) + 28, 92
    width = WIDTH - left - RIGHT
    parts = [
        f'<line class="grid" x1="{left + width * at / 4:.1f}" y1="0" x2="{left + width * at / 4:.1f}" y2="{height - 22}"/>'
        f'<text x="{left + width * at / 4:.1f}" y="{height - 6}" text-anchor="middle">{25 * at} %</text>'
        for at in range(5)
    ]
    for index, (name, value, interval, ceiling) in enumerate(rows):
        y = ROW * index + ROW / 2
        parts.append(f'<text x="{left - 10}" y="{y + 4:.1f}" text-anchor="end">{text(name)}</text>')
        if interval is not None:
            low, high = (left + width * bound for bound in interval)
            parts.append(f'<line class="line" x1="{low:.1f}" y1="{y:.1f}" x2="{high:.1f}" y2="{y:.1f}"/>')
        if ceiling is not None:
            x = left + width * ceiling
            parts.append(
                f'<line class="ceiling" x1="{x:.1f}" y1="{y - 8:.1f}" x2="{x:.1f}" y2="{y + 8:.1f}"><title>{ceiling:.3f}</title></line>'
            )
        if value is not None:
            parts.append(f'<circle class="mark" cx="{left + width * value:.1f}" cy="{y:.1f}" r="4"><title>{value:.3f}</title></circle>')
    return _svg(parts, height)


def _frame(x_name: str, y_name: str, ticks: Sequence[tuple[float, str]]) -> list[str]:
    parts = []
    for at, name in ticks:
        y = TOP + PLOT_HEIGHT * (1 - at)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{LEFT + PLOT_WIDTH}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text(name)}</text>')
    middle = TOP + PLOT_HEIGHT / 2
    parts.append(f'<text x="{LEFT + PLOT_WIDTH / 2:.1f}" y="{HEIGHT - 4}" text-anchor="middle">{text(x_name)}</text>')
    parts.append(f'<text transform="translate(12 {middle:.1f}) rotate(-90)" text-anchor="middle">{text(y_name)}</text>')
    return parts


def _svg(parts: Sequence[str], height: int) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
