"""Draw the output of a terminal as an SVG, for the README.

    FORCE_COLOR=1 hardener … | python tools/terminal_picture.py FILE.svg TITLE

The picture loads nothing from anywhere: fonts are the reader's own.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

WIDTH = 80
LINES = 60

# rich's own frame, without the web font that it names.
FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: ui-sans-serif, Arial, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def draw(shown: str, title: str) -> str:
    """Return the SVG of a terminal's output, shortened to the first screen."""
    lines = shown.rstrip().splitlines()
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    for line in lines[:LINES]:
        console.print(Text.from_ansi(line), no_wrap=True, crop=True)
    if len(lines) > LINES:
        console.print(Text(" …", style="bright_black"))
    return console.export_svg(
        title=title, theme=DIMMED_MONOKAI, code_format=FRAME, unique_id="hardener", font_aspect_ratio=0.61
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(sys.stdin.read(), sys.argv[2]), encoding="utf-8")
