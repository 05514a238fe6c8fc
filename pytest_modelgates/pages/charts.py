"""Charts as inline SVG, each followed by its table. Knows of no model, file or template.

A chart takes the colour of the text around it, so that it reads in light, in dark and on paper.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import TypeVar

from ..policy.limits import short
from ..storage.text import printable

WIDTH, HEIGHT = 400, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 8, 8, 22
MOST_POINTS, MOST_ROWS = 160, 40  # so that a page of 40 charts stays below 300 kB
_DASHES = ("", "5 3", "1 3", "8 3 1 3")
_LEAST, _GREATEST = 1e-90, 1e90  # numbers beyond cannot be put on a scale
_LETTERS = 22  # of a label beside a bar
_DOTS = 24  # up to so many values are marked one by one, so that one alone can be seen
_BAR, _NAMES = 18, 140

T = TypeVar("T")
Value = float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A drawing, what it is called, what it shows in words, and its numbers as a table.

    A template writes it as it stands: all text in it is escaped.
    """

    title: str
    description: str
    drawing: str
    height: int
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __html__(self) -> str:
        """Write the figure."""
        title, description = _text(self.title), _text(self.description)
        head = "".join(f"<th scope=col>{_text(name)}" for name in self.columns)
        shown, beyond = thin(self.rows, MOST_ROWS), ""
        if len(shown) < len(self.rows):
            beyond = f" ({len(shown)} of {len(self.rows)} rows)"
        body = "".join(
            f"<tr><th scope=row>{_text(row[0])}" + "".join(f"<td>{_text(cell)}" for cell in row[1:]) for row in shown
        )
        return (
            f"<figure><figcaption>{title}</figcaption>"
            f'<svg viewBox="0 0 {WIDTH} {self.height}" role=img aria-label="{title}">'
            f"<title>{title}</title><desc>{description}</desc>{self.drawing}</svg><p>{description}</p>"
            f"<details><summary>Table: {title}{beyond}</summary>"
            f'<div class=wide tabindex=0 role=region aria-label="Table: {title}"><table><thead><tr>{head}</thead>'
            f"<tbody>{body}</tbody></table></div></details></figure>"
        )


def line(
    title: str,
    description: str,
    names: Sequence[str],
    series: Mapping[str, Sequence[Value]],
    *,
    of: str = "day",
    band: tuple[str, float, float] | None = None,
    limit: float | None = None,
    zero: bool = True,
) -> Chart:
    """Draw one or several lines over the same places.

    Parameters
    ----------
    title, description : str
    names : sequence of str
        What the places are called, such as dates; `of` says what they are.
    series : mapping of str to sequence
        Values of each line by its name; None leaves a gap.
    band : (str, float, float), optional
        A stretch of values that is shaded, and what it is.
    limit : float, optional
        A value at which a dashed line is drawn.
    zero : bool, default True
        Whether 0 is in the picture.
    """
    known = [value for values in series.values() for value in values if value is not None and _is_known(value)]
    scale = _Scale.over([*known, *(band[1:] if band else ()), *([limit] if limit is not None else ())], zero=zero)
    parts = [scale.axis()]
    if band:
        low, high = scale.y(band[1]), scale.y(band[2])
        parts.append(_rectangle(_LEFT, high, WIDTH - _LEFT - _RIGHT, low - high, "band"))
    if limit is not None:
        parts.append(_stroke(f"M{_LEFT} {scale.y(limit)}H{WIDTH - _RIGHT}", 'class=limit stroke-dasharray="6 4"'))
    step = (WIDTH - _LEFT - _RIGHT) / max(len(names) - 1, 1)
    for number, values in enumerate(series.values()):
        points = [(_LEFT + step * place, values[place]) for place in _places(values)]
        dashes = f' stroke-dasharray="{_DASHES[number % len(_DASHES)]}"' if number else ""
        parts.append(_stroke(_path(points, scale), f"class=s{number % 4} stroke-width=1.6{dashes}"))
        if sum(_is_known(value) for value in values) <= _DOTS:
            parts += [_dot(x, scale.y(value), number) for x, value in points if value is not None and _is_known(value)]
    if names:
        parts.append(_label(_LEFT, HEIGHT - 6, names[0], "start"))
    if len(names) > 1:
        parts.append(_label(WIDTH - _RIGHT, HEIGHT - 6, names[-1], "end"))
    legend, height = _legend([*series], HEIGHT) if len(series) > 1 else ("", HEIGHT)
    rows = [[name, *(_shown(values[place]) for values in series.values())] for place, name in enumerate(names)]
    words = description + (f" Shaded: {band[0]}, {short(band[1], 3)} to {short(band[2], 3)}." if band else "")
    return Chart(
        title=title,
        description=words,
        drawing="".join(parts) + legend,
        height=height,
        columns=[of, *series],
        rows=rows,
    )


def bars(
    title: str,
    description: str,
    values: Mapping[str, Value],
    *,
    of: str,
    unit: str = "value",
    intervals: Mapping[str, tuple[float, float]] | None = None,
    limit: float | None = None,
) -> Chart:
    """Draw a bar from 0 for each name, with its interval where there is one, and a dashed line at the limit."""
    between = intervals or {}
    known = [value for value in values.values() if value is not None and _is_known(value)]
    ends = [end for pair in between.values() for end in pair]
    scale = _Scale.over([*known, *ends, *([limit] if limit is not None else ())], zero=True)
    left = _NAMES
    height = _BAR * len(values) + _TOP + _BOTTOM
    parts = [scale.across(left, height)]
    for number, (name, value) in enumerate(values.items()):
        top = _TOP + _BAR * number
        parts.append(_label(left - 6, top + 12, _cut(name), "end"))
        if value is None or not _is_known(value):
            continue
        start, end = sorted((scale.x(0.0, left), scale.x(value, left)))
        parts.append(_rectangle(start, top + 3, end - start, _BAR - 7, "bar"))
        if name in between:
            low, high = (scale.x(edge, left) for edge in between[name])
            middle = round(top + 3 + (_BAR - 7) / 2, 1)
            ticks = "".join(f"M{x} {middle - 4}v8" for x in (low, high))
            parts.append(_stroke(f"M{low} {middle}H{high}{ticks}", "stroke-width=1.6"))
    if limit is not None:
        parts.append(
            _stroke(f"M{scale.x(limit, left)} {_TOP}V{height - _BOTTOM}", 'class=limit stroke-dasharray="6 4"')
        )
    columns = [of, unit, *(["from", "to"] if between else [])]
    rows = [
        [name, _shown(value), *(map(_shown, between.get(name, (None, None))) if between else ())]
        for name, value in values.items()
    ]
    return Chart(
        title=title, description=description, drawing="".join(parts), height=height, columns=columns, rows=rows
    )


def histograms(
    title: str, description: str, bins: Sequence[str], first: Sequence[float], second: Sequence[float], *names: str
) -> Chart:
    """Draw the shares of two samples in the same bins, side by side; `names` are those of the two samples."""
    scale = _Scale.over([*first, *second], zero=True)
    parts = [scale.axis(percent=True)]
    width = (WIDTH - _LEFT - _RIGHT) / max(len(bins), 1)
    for number, shares in enumerate((first, second)):
        for place, share in enumerate(shares):
            top = scale.y(share)
            x = round(_LEFT + width * (place + 0.1 + 0.4 * number), 1)
            parts.append(_rectangle(x, top, round(width * 0.4, 1), scale.y(0.0) - top, f"h{number}"))
    if bins:
        parts.append(_label(_LEFT, HEIGHT - 6, _cut(bins[0]), "start"))
        parts.append(_label(WIDTH - _RIGHT, HEIGHT - 6, _cut(bins[-1]), "end"))
    legend, height = _legend(list(names), HEIGHT, solid=True)
    rows = [[name, f"{a:.1%}", f"{b:.1%}"] for name, a, b in zip(bins, first, second, strict=True)]
    return Chart(
        title=title,
        description=description,
        drawing="".join(parts) + legend,
        height=height,
        columns=["values", *names],
        rows=rows,
    )


def thin(items: Sequence[T], most: int) -> list[T]:
    """Take at most so many items, evenly, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def _places(values: Sequence[Value]) -> list[int]:
    """Choose the places that are drawn: of each of many stretches the least and the greatest, so that no peak is lost.

    A stretch without a value gives its first place, and so a gap.
    """
    if len(values) <= MOST_POINTS:
        return list(range(len(values)))
    stretches = MOST_POINTS // 2
    ends = [round(number * len(values) / stretches) for number in range(stretches + 1)]
    chosen = set[int]()
    for start, end in pairwise(ends):
        known = [
            (value, place) for place in range(start, end) if _is_known(value := values[place]) and value is not None
        ]
        chosen |= {min(known)[1], max(known)[1]} if known else {start}
    return sorted(chosen)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where values lie between the least and the greatest tick."""

    ticks: tuple[float, ...]

    @classmethod
    def over(cls, values: Sequence[float], *, zero: bool) -> "_Scale":
        """Choose ticks at multiples of 1, 2 or 5 times a power of ten (Heckbert, Graphics Gems, 1990)."""
        known = [value for value in values if _is_known(value)]
        known += [0.0] if zero or not known else []
        low, high = min(known), max(known)
        if high - low <= max(1e-12 * max(abs(low), abs(high)), _LEAST):
            apart = max(abs(low), abs(high)) / 2
            apart = apart if apart > _LEAST else 0.5
            low, high = low - apart, high + apart
        rough = (high - low) / 4
        power = 10.0 ** math.floor(math.log10(rough))
        step = power * next(size for size in (1, 2, 5, 10) if rough <= size * power * (1 + 1e-9))
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        return cls(tuple(place * step for place in range(first, last + 1)))

    def _part(self, value: float) -> float:
        # What lies beyond any scale is drawn at its end.
        return min(max((value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0]), 0.0), 1.0)

    def y(self, value: float) -> float:
        """The height of a value."""
        return round(HEIGHT - _BOTTOM - self._part(value) * (HEIGHT - _TOP - _BOTTOM), 1)

    def x(self, value: float, left: int) -> float:
        """How far to the right a value lies."""
        return round(left + self._part(value) * (WIDTH - left - _RIGHT - 8), 1)

    def axis(self, *, percent: bool = False) -> str:
        """Draw the ticks at the left."""
        parts = []
        for tick in self.ticks:
            kind = "class=zero" if tick == 0 else "class=grid"
            parts.append(_stroke(f"M{_LEFT} {self.y(tick)}H{WIDTH - _RIGHT}", kind))
            word = f"{tick:.3g}" if not percent else f"{100 * tick:.3g}%"
            parts.append(_label(_LEFT - 5, self.y(tick) + 4, word, "end"))
        return "".join(parts)

    def across(self, left: int, height: int) -> str:
        """Draw the ticks below."""
        parts = []
        for tick in self.ticks:
            kind = "class=zero" if tick == 0 else "class=grid"
            parts.append(_stroke(f"M{self.x(tick, left)} {_TOP}V{height - _BOTTOM}", kind))
            parts.append(_label(self.x(tick, left), height - 6, f"{tick:.3g}", "middle"))
        return "".join(parts)


def _path(points: Sequence[tuple[float, Value]], scale: _Scale) -> str:
    path, pen = "", "M"
    for x, value in points:
        if value is None or not _is_known(value):
            pen = "M"
            continue
        path += f"{pen}{round(x, 1):g} {scale.y(value):g}"
        pen = "L"
    return path


def _legend(names: Sequence[str], height: int, *, solid: bool = False) -> tuple[str, int]:
    """Draw a line for each name below the picture; return it and the new height."""
    parts = []
    for number, name in enumerate(names):
        y = height + 12 + 16 * number
        if solid:
            parts.append(_rectangle(_LEFT, y - 8, 24, 9, f"h{number}"))
        else:
            dashes = f' stroke-dasharray="{_DASHES[number % len(_DASHES)]}"' if number else ""
            parts.append(_stroke(f"M{_LEFT} {y - 4}h24", f"class=s{number % 4} stroke-width=1.6{dashes}"))
        parts.append(_label(_LEFT + 30, y, name, "start"))
    return "".join(parts), height + 16 * len(names) + 4


def _stroke(path: str, kind: str) -> str:
    return f'<path d="{path}" fill=none stroke=currentColor {kind} />'


def _rectangle(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f"<rect x={x:g} y={y:g} width={max(width, 0):g} height={max(height, 0):g} class={kind} fill=currentColor />"


def _dot(x: float, y: float, number: int) -> str:
    return f"<circle cx={round(x, 1):g} cy={y:g} r=2.2 class=s{number % 4} fill=currentColor />"


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f"<text x={x:g} y={y:g} text-anchor={anchor}>{_text(text)}</text>"


def _text(text: str) -> str:
    return escape(printable(text))


def _cut(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"


def _shown(value: Value) -> str:
    return short(value, 4) if value is not None and _is_known(value) else "–"


def _is_known(value: Value) -> bool:
    return value is not None and abs(value) < _GREATEST  # of NaN too this is false
