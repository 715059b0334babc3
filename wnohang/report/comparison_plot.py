"""The plots of a comparison, drawn by hand as inline SVG: pure functions from results to text.

A line a server, with a mark and a bar from the least to the most of the rounds; names stand at the lines' ends, so that
nobody has to match colours. Numbers of clients are equally far apart, as they are chosen by magnitude.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from wnohang.report.comparison_figures import by_server, figure, sizes

Document = Mapping[str, Any]

# Okabe and Ito's palette: told apart by colour-blind people, and on a projector. After eight it begins anew.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#b8860b", "#7a7a7a", "#7f5fa8")
_WIDTH, _HEIGHT = 680, 370
_LEFT, _TOP, _BOTTOM = 74, 16, 52
# Bold letters of 16 px are about so wide; a name has so many at most.
_LETTER, _LONGEST = 10, 17
# Lines of 16 px letters need so much from one to the next.
_LINE = 19
# From this factor between the least and the most on, a linear axis would press the small ones together.
_LOGARITHMIC_FROM = 8
_TICKS = 5
# To the bottom of the axis, as a part of it: there stands the zero.
_TOO_CLOSE = 0.07


def colour(place: int) -> str:
    """Of the server at this place."""
    return COLOURS[place % len(COLOURS)]


def plot(measure: Mapping[str, Any], servers: Sequence[str]) -> str:
    """One measure: lines over the numbers of clients, or bars where there is only one such number."""
    columns = sizes(measure)
    if not columns:
        return ""
    return _bars(measure, servers) if len(columns) == 1 else _Lines(measure, servers, columns).svg()


def _svg(measure: Mapping[str, Any], height: float, parts: Sequence[str]) -> str:
    label = escape(f"{measure['title']} in {measure['unit']}; the figures are in the table below", quote=True)
    body = "\n".join(parts)
    return (
        f'<svg class="plot" id="plot-{escape(measure["id"])}" viewBox="0 0 {_WIDTH} {height:g}" role="img" '
        f'aria-label="{label}">\n{body}\n</svg>'
    )


class Scale:
    """From values to the vertical place in the plot. On a logarithmic axis zero, and less, stands at the bottom."""

    def __init__(self, values: Sequence[float]) -> None:
        most, above = max(values), [each for each in values if each > 0]
        self.zero = min(values) <= 0
        self.logarithmic = bool(above) and most / min(above) >= _LOGARITHMIC_FROM
        if self.logarithmic:
            self.low, self.high = min(above) / (2.5 if self.zero else 1.25), most * 1.25
        else:
            self.low, self.high = min(0.0, *values), (most or 1.0) * 1.08

    def place(self, value: float) -> float:
        """From 0, the bottom, to 1, the top."""
        if self.logarithmic:
            return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round numbers, a handful."""
        return self._powers() if self.logarithmic else self._steps()

    def _powers(self) -> list[float]:
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        for digits in ((1, 2, 5), (1, 3), (1,)):
            found = [digit * 10.0**power for power in range(first, last + 1) for digit in digits]
            found = [each for each in found if self.low <= each <= self.high]
            if len(found) <= _TICKS + 1:
                break
        if not self.zero:
            return found
        return [0.0, *(each for each in found if self.place(each) > _TOO_CLOSE)]

    def _steps(self) -> list[float]:
        raw = (self.high - self.low) / _TICKS
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= raw)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [number * step for number in range(first, last + 1)]


class _Lines:
    def __init__(self, measure: Mapping[str, Any], servers: Sequence[str], columns: list[int]) -> None:
        self.measure, self.servers, self.columns = measure, servers, columns
        self.found = by_server(measure)
        ends = [value for each in measure["results"] for value in (each["min"], each["max"])]
        self.scale = Scale(ends)
        self.right = _WIDTH - _room([name for name in servers if name in self.found])

    def x(self, size: int) -> float:
        """The middle of the column."""
        inner = self.right - _LEFT
        return _LEFT + inner * (self.columns.index(size) + 0.5) / len(self.columns)

    def y(self, value: float) -> float:
        """Larger is higher."""
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * self.scale.place(value)

    def svg(self) -> str:
        parts = [*self._axes()]
        drawn = [(place, name) for place, name in enumerate(self.servers) if name in self.found]
        for order, (place, name) in enumerate(drawn):
            # Bars of two servers at one place would hide each other: a few pixels aside each.
            parts += self._line(place, name, 5.0 * (order - (len(drawn) - 1) / 2))
        parts += self._names(drawn)
        return _svg(self.measure, _HEIGHT, parts)

    def _axes(self) -> list[str]:
        parts, right = [], self.right
        for value in self.scale.ticks():
            y = self.y(value)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text class="tick" x="{_LEFT - 8}" y="{y + 5:.1f}" text-anchor="end">{_tick(value)}</text>')
        for size in self.columns:
            parts.append(
                f'<text class="tick" x="{self.x(size):.1f}" y="{_HEIGHT - _BOTTOM + 26}" text-anchor="middle">'
                f"{_tick(size)}</text>"
            )
        middle = (_LEFT + right) / 2
        parts.append(f'<text class="axis" x="{middle:.0f}" y="{_HEIGHT - 6}" text-anchor="middle">clients</text>')
        return parts

    def _line(self, place: int, name: str, aside: float) -> list[str]:
        results = [self.found[name][size] for size in self.columns if size in self.found[name]]
        points = [(self.x(each["clients"]) + aside, self.y(each["median"])) for each in results]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts = [f'<g stroke="{colour(place)}" fill="{colour(place)}">', f'<polyline class="line" points="{path}"/>']
        for (x, y), each in zip(points, results, strict=True):
            low, high = self.y(each["min"]), self.y(each["max"])
            parts.append(f'<line class="range" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>')
            parts.append(_mark(place, x, y, f"{name}, {each['clients']} clients: {figure(each['median'])}"))
        return [*parts, "</g>"]

    def _names(self, drawn: Sequence[tuple[int, str]]) -> list[str]:
        """Beside the last point of each line, moved apart where they would cover each other."""
        wanted = []
        for place, name in drawn:
            last = max(self.found[name])
            wanted.append((self.y(self.found[name][last]["median"]), place, name, self.x(last)))
        wanted.sort()
        places = _apart([y for y, *_ in wanted], _TOP + 6, _HEIGHT - _BOTTOM)
        parts = []
        for (y, place, name, x), at in zip(wanted, places, strict=True):
            right = self.right
            leader = f"{x + 9:.1f},{y:.1f} {right - 4},{at:.1f} {right + 4},{at:.1f}"
            parts.append(f'<polyline class="leader" points="{leader}" stroke="{colour(place)}"/>')
            parts.append(
                f'<text class="name" x="{right + 9}" y="{at + 5:.1f}" style="fill: {colour(place)}">'
                f"{escape(_short(name))}</text>"
            )
        return parts


def _tick(value: float) -> str:
    """A round number; thousands apart."""
    return f"{value:,.0f}".replace(",", " ") if value >= 1000 else f"{value:g}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _room(names: Sequence[str]) -> int:
    """For names beside the plot."""
    return 20 + _LETTER * max(len(_short(each)) for each in names)


def _apart(wanted: Sequence[float], top: float, bottom: float) -> list[float]:
    """The same places in the same order, a line from each other, and within the plot as far as they have room."""
    found: list[float] = []
    for each in wanted:
        found.append(max(each, found[-1] + _LINE) if found else max(each, top))
    for place in range(len(found) - 1, -1, -1):
        found[place] = min(found[place], bottom - (len(found) - 1 - place) * _LINE)
    return found


def _mark(place: int, x: float, y: float, title: str) -> str:
    """A shape for each server, so that lines are told apart in black and white too."""
    shapes = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5.5">',
        f'<rect x="{x - 5:.1f}" y="{y - 5:.1f}" width="10" height="10">',
        f'<polygon points="{x:.1f},{y - 7:.1f} {x + 6:.1f},{y + 5:.1f} {x - 6:.1f},{y + 5:.1f}">',
        f'<polygon points="{x:.1f},{y - 7:.1f} {x + 7:.1f},{y:.1f} {x:.1f},{y + 7:.1f} {x - 7:.1f},{y:.1f}">',
    )
    opened = shapes[place % len(shapes)]
    return f"{opened}<title>{escape(title)}</title></{opened[1:].split(' ', 1)[0]}>"


def _bars(measure: Mapping[str, Any], servers: Sequence[str]) -> str:
    """One number of clients: a bar a server, from zero."""
    (size,) = sizes(measure)
    found = {name: each[size] for name, each in by_server(measure).items()}
    most = max(each["max"] for each in found.values()) or 1.0
    left, right, step = _room(list(found)), 90, 44
    inner = _WIDTH - left - right
    parts, y = [], 8.0
    for place, name in enumerate(servers):
        if name not in found:
            continue
        each, middle = found[name], y + step / 2
        length, low, high = (inner * max(0.0, each[key]) / most for key in ("median", "min", "max"))
        parts.append(
            f'<text class="name" x="{left - 10}" y="{middle + 5:.1f}" text-anchor="end" style="fill: {colour(place)}">'
            f"{escape(_short(name))}</text>"
            f'<rect x="{left}" y="{middle - 13:.1f}" width="{max(length, 1):.1f}" height="26" fill="{colour(place)}"/>'
            f'<line class="over" x1="{left + low:.1f}" x2="{left + high:.1f}" y1="{middle:.1f}" y2="{middle:.1f}"/>'
            f'<text class="value" x="{left + max(length, high) + 8:.1f}" y="{middle + 6:.1f}">'
            f"{figure(each['median'])}</text>"
        )
        y += step
    parts.append(f'<line class="grid" x1="{left}" x2="{left}" y1="4" y2="{y:.1f}"/>')
    return _svg(measure, y + 8, parts)
