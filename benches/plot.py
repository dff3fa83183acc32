#!/usr/bin/env python3
"""Draws the ratios that `make bench` measured: plot.py BENCH.json PICTURE.svg

One line a row: the dot is the median, the bar reaches from quartile to quartile. The scale is logarithmic; right of 1 the library
is faster than what it was compared with."""

import json
import math
import sys
from html import escape

LINE, LEFT, WIDTH, RIGHT, TOP = 13, 290, 620, 60, 70

results = json.load(open(sys.argv[1]))
groups = {}
for row in results["rows"]:
    style, mode, corpus, size, call, direction = row["row"].split("/")
    groups.setdefault(f"{style}, {mode}, {direction}: {corpus}", []).append((f"{size} {call}", row))

values = [v for row in results["rows"] for v in (row["ratio"], *row["quartiles"])]
low = min(0.5, 0.95 * min(values))
high = max(2.0, 1.05 * max(values))


def x(ratio):
    return LEFT + WIDTH * math.log(ratio / low) / math.log(high / low)


height = TOP + LINE * sum(len(rows) + 2 for rows in groups.values()) + 20
out = []


def text(at, y, content, anchor="start", extra=""):
    out.append(f'<text x="{at:.1f}" y="{y:.1f}" text-anchor="{anchor}" {extra}>{escape(content)}</text>')


text(10, 20, "Time of the other library / time of ours", extra='font-size="15" font-weight="bold"')
text(10, 38, f'ours: {results["ours"]}; other: {results["other"]}')
ticks = [t for t in (0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.5, 2, 3, 4, 5, 7, 10, 20, 50) if low <= t <= high]
last = -math.inf
for tick in ticks:
    colour, width = ("#444", 1.5) if tick == 1 else ("#ddd", 1)
    out.append(f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP - 8}" y2="{height - 15}" stroke="{colour}" stroke-width="{width}"/>')
    if x(tick) - last > 24:
        last = x(tick)
        text(last, TOP - 12, f"{tick:g}", "middle")

y = TOP
for group, rows in groups.items():
    y += 1.5 * LINE
    text(10, y, group, extra='font-weight="bold"')
    y += 0.5 * LINE
    for name, row in rows:
        y += LINE
        ratio, (first, third) = row["ratio"], row["quartiles"]
        colour = "#1a7f37" if ratio >= 1.03 else "#57606a" if ratio >= 0.97 else "#cf222e"
        text(LEFT - 12, y, name, "end")
        out.append(f'<line x1="{x(first):.1f}" x2="{x(third):.1f}" y1="{y - 4:.1f}" y2="{y - 4:.1f}" stroke="{colour}" stroke-width="3" opacity="0.4"/>')
        out.append(f'<circle cx="{x(ratio):.1f}" cy="{y - 4:.1f}" r="3.2" fill="{colour}"><title>{escape(row["row"])}: {ratio:.3f}</title></circle>')
        text(LEFT + WIDTH + 12, y, f"{ratio:.2f}")

with open(sys.argv[2], "w") as picture:
    picture.write(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + RIGHT}" height="{height:.0f}" '
        f'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(out) + "\n</svg>\n"
    )
print(f"{sys.argv[2]}: {len(results['rows'])} rows")
