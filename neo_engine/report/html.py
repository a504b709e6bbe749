"""A report as one HTML file that needs nothing else: tables, pictures inside it, light and dark.

The page holds no script and loads nothing. Every text that comes from the database is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from neo_engine.report.model import SessionSummary
from neo_engine.report.plots import data_uri
from neo_engine.report.sections import Section, agreement_lines, reconciliation_lines, sections

_STYLE = """
:root { color-scheme: light dark;
  --ink: #1b1b1b; --paper: #fff; --line: #d0d0d0; --dim: #666; --bad: #b00020; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #16181c; --line: #3a3f47; --dim: #9aa0a6; --bad: #ff8a80; }
}
body { color: var(--ink); background: var(--paper); font: 15px/1.45 system-ui, sans-serif;
  max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 1.8rem 0 .4rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line);
  text-align: left; vertical-align: top; }
th { color: var(--dim); font-weight: 600; }
td.n, th.n { text-align: right; white-space: nowrap; padding: .2rem 0 .2rem .8rem; }
td.t { overflow-wrap: anywhere; } td.t:first-child { overflow-wrap: normal; }
p.note { color: var(--dim); margin: .3rem 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .2rem 0; } pre.bad { color: var(--bad); }
img { max-width: 100%; background: #fff; border-radius: 4px; }
"""


def _cells(section: Section, texts: tuple[str, ...], tag: str) -> str:
    cells = (
        f'<{tag} class="{"t" if index < section.left else "n"}">{escape(text)}</{tag}>'
        for index, text in enumerate(texts)
    )
    return f"<tr>{''.join(cells)}</tr>"


def _section(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>"]
    if section.rows:
        head = f"<thead>{_cells(section, section.columns, 'th')}</thead>" if any(section.columns) else ""
        body = "\n".join(_cells(section, row, "td") for row in section.rows)
        parts.append(f'<div class="wide"><table>{head}<tbody>\n{body}\n</tbody></table></div>')
    if section.note:
        parts.append(f'<p class="note">{escape(section.note)}</p>')
    return "\n".join(parts)


def _verdict(summary: SessionSummary) -> str:
    lines = (*reconciliation_lines(summary), *agreement_lines(summary))
    return "\n".join(
        f'<pre class="{"bad" if line.startswith(("ERROR", "Report against engine: NOT")) else "good"}">'
        f"{escape(line)}</pre>"
        for line in lines
    )


def page(summary: SessionSummary, plots: Mapping[str, bytes]) -> str:
    """Return the whole page; `plots` are PNG files by name, put inside it."""
    title = escape(f"NEO session {summary.facts.session_id}")
    first, *rest = sections(summary)
    images = "\n".join(
        f"<h2>{escape(name.removesuffix('.png').replace('_', ' ').capitalize())}</h2>"
        f'<img alt="{escape(name)}" src="{data_uri(png)}">'
        for name, png in plots.items()
    )
    body = "\n".join((_section(first), _verdict(summary), images, *(_section(section) for section in rest)))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}\n"
        f'<p class="note">{escape(summary.facts.quote_symbol)} is rounded to 6 decimals here; '
        "the JSON form has every digit.</p>\n</body>\n</html>\n"
    )
