"""A bar chart as SVG, readable on light and on dark pages, without a drawing library."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

WIDTH: Final = 760
LABELS: Final = 300  # width of the column of names
BAR: Final = 22
GAP: Final = 10
TOP: Final = 64
STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#24292f}.title{font-weight:600;font-size:15px}.unit{fill:#57606a}"
    ".bar{fill:#8c959f}.ours{fill:#1f6feb}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.unit{fill:#8d96a0}}"
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar."""

    name: str
    value: float
    highlighted: bool = False


def bar_chart(title: str, unit: str, bars: Sequence[Bar]) -> str:
    """Horizontal bars from nought, each with its value."""
    height = TOP + len(bars) * (BAR + GAP)
    longest = max((bar.value for bar in bars), default=0) or 1.0
    rows = [_row(number, bar, longest) for number, bar in enumerate(bars)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<text class="title" x="0" y="20">{escape(title)}</text>',
            f'<text class="unit" x="0" y="40">{escape(unit)}</text>',
            *rows,
            "</svg>\n",
        ]
    )


def _row(number: int, bar: Bar, longest: float) -> str:
    y = TOP + number * (BAR + GAP)
    text_y = y + BAR - 6
    length = (WIDTH - LABELS - 70) * bar.value / longest
    kind = "bar ours" if bar.highlighted else "bar"
    return (
        f'<text x="{LABELS - 10}" y="{text_y}" text-anchor="end">{escape(bar.name)}</text>'
        f'<rect class="{kind}" x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" rx="3"/>'
        f'<text x="{LABELS + length + 8:.1f}" y="{text_y}">{bar.value:,.0f}</text>'
    )
