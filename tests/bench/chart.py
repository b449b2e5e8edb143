"""Line charts as SVG, in plain Python: one panel for each database, both axes logarithmic, light and dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

Line = Mapping[int, float]
"""Milliseconds by size."""
Panel = Mapping[str, Line]

SVG = "http://www.w3.org/2000/svg"
WIDTH, HEIGHT = 900, 440
LEFT, TOP, BOTTOM, LABELS, GAP = 64, 62, 46, 190, 34
COLOURS = (
    ("#0969da", "#58a6ff"),
    ("#1a7f37", "#3fb950"),
    ("#bf3989", "#f778ba"),
    ("#9a6700", "#d29922"),
    ("#8250df", "#bc8cff"),
    ("#0e7490", "#39c5cf"),
    ("#bc4c00", "#f0883e"),
    ("#57606a", "#8b949e"),
    ("#cf222e", "#ff7b72"),
    ("#4d6b00", "#a5c34a"),
)
STYLE = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 } .panel { font-weight: 600 } .quiet { fill: #656d76 }
  .ground { fill: #ffffff } .grid { stroke: #d8dee4 } .axis { stroke: #8c959f }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round } .leader { fill: none; stroke-width: 1; opacity: .45 }
"""
DARK = """
    text { fill: #e6edf3 } .quiet { fill: #8d96a0 } .ground { fill: #0d1117 } .grid { stroke: #262c36 }
    .axis { stroke: #6e7681 }
"""


def chart(title: str, across: str, panels: Mapping[str, Panel]) -> str:
    """Draw lines of the same names side by side; the names stand at the right, beside the last panel's ends."""
    every = [value for panel in panels.values() for line in panel.values() for value in line.values()]
    sizes = sorted({size for panel in panels.values() for line in panel.values() for size in line})
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))
    wide = (WIDTH - LEFT - LABELS - GAP * (len(panels) - 1)) / len(panels)
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    parts = [*_frame(title), f'<text x="{LEFT}" y="{HEIGHT - 10}" class="quiet">{escape(across)}</text>']
    ends: dict[str, tuple[float, float]] = {}
    for at, (heading, panel) in enumerate(panels.items()):
        left = LEFT + at * (wide + GAP)
        scale = _Scale(left, wide, sizes, low, high)
        parts += _grid(scale, heading, sizes, with_numbers=at == 0)
        for number, name in enumerate(names):
            points = [(scale.x(size), scale.y(value)) for size, value in sorted(panel.get(name, {}).items())]
            if points:
                path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
                parts.append(f'<polyline points="{path}" class="line c{number}"/>')
                parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" class="d{number}"/>' for x, y in points]
                ends[name] = points[-1]
    return "\n".join([*parts, *_labels(names, ends), "</svg>"]) + "\n"


class _Scale:
    """Where a size and a cost lie in a panel."""

    def __init__(self, left: float, wide: float, sizes: Sequence[int], low: int, high: int) -> None:
        self.left, self.right, self.low, self.high = left, left + wide, low, high
        self._first, self._last = math.log10(sizes[0]), math.log10(max(sizes[-1], sizes[0] * 10))
        self.top, self.bottom = TOP, HEIGHT - BOTTOM

    def x(self, size: int) -> float:
        return (
            self.left
            + 8
            + (self.right - self.left - 16) * (math.log10(size) - self._first) / (self._last - self._first)
        )

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - self.top) * (math.log10(value) - self.low) / (self.high - self.low)


def _frame(title: str) -> list[str]:
    light = " ".join(f".c{n} {{ stroke: {one} }} .d{n} {{ fill: {one} }}" for n, (one, _) in enumerate(COLOURS))
    dark = " ".join(f".c{n} {{ stroke: {one} }} .d{n} {{ fill: {one} }}" for n, (_, one) in enumerate(COLOURS))
    return [
        f'<svg xmlns="{SVG}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">',
        f"<style>{STYLE}  {light}\n  @media (prefers-color-scheme: dark) {{{DARK}    {dark} }}\n</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="6" class="ground"/>',
        f'<text x="{LEFT}" y="26" class="title">{escape(title)}</text>',
    ]


def _grid(scale: _Scale, heading: str, sizes: Sequence[int], *, with_numbers: bool) -> list[str]:
    parts = [f'<text x="{scale.left:.1f}" y="{TOP - 10}" class="panel">{escape(heading)}</text>']
    for power in range(scale.low, scale.high + 1):
        y = scale.y(10.0**power)
        parts.append(f'<line x1="{scale.left:.1f}" x2="{scale.right:.1f}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        if with_numbers:
            words = f"{10**power / 1000:g} s" if power >= 3 else f"{10.0**power:g} ms"
            parts.append(
                f'<text x="{scale.left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end" class="quiet">{words}</text>'
            )
    for size in sizes:
        x, power = scale.x(size), round(math.log10(size))
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{scale.bottom}" y2="{scale.bottom + 4}" class="axis"/>')
        words = f'10<tspan dy="-4" font-size="9">{power}</tspan>'
        parts.append(f'<text x="{x:.1f}" y="{scale.bottom + 19}" text-anchor="middle" class="quiet">{words}</text>')
    return parts


def _labels(names: Sequence[str], ends: Mapping[str, tuple[float, float]]) -> list[str]:
    """Name the lines beside their ends, none upon another."""
    parts, lowest = [], 0.0
    left, step = WIDTH - LABELS + 22, 17
    ordered = sorted(ends, key=lambda name: ends[name][1])
    room = HEIGHT - BOTTOM + 4
    for at, name in enumerate(ordered):
        x, y = ends[name]
        y = min(max(y, lowest), room - step * (len(ordered) - 1 - at))
        lowest = y + step
        number = names.index(name)
        leader = f"M{x + 5:.1f},{ends[name][1]:.1f} L{left - 14},{y:.1f} L{left - 5},{y:.1f}"
        parts.append(f'<path d="{leader}" class="leader c{number}"/>')
        parts.append(f'<text x="{left}" y="{y + 4:.1f}" class="d{number}">{escape(name)}</text>')
    return parts
