"""How a report's page looks: one style sheet for screens of any width, light and dark, and for paper."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark;
  --ink: #1b1b1c; --paper: #fff; --card: #f6f7f9; --line: #d9dce1; --dim: #5b6168;
  --bad: #b3261e; --good: #0a7a4f;
  --blue: #0072b2; --sky: #3a9bd9; --orange: #c98200; --green: #009e73; --red: #d55e00; --violet: #a8447f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e9eb; --paper: #14161a; --card: #1d2026; --line: #363b44; --dim: #a2a9b3;
    --bad: #ff8f86; --good: #5fd39f; --blue: #5cb3ec; --sky: #7cc7f5; --orange: #f0b13c; --green: #3cc79a;
    --red: #ff8a4c; --violet: #e39ac4; }
}
* { box-sizing: border-box; }
body { color: var(--ink); background: var(--paper); font: 15px/1.45 system-ui, sans-serif;
  max-width: 76rem; margin: 0 auto; padding: 1.2rem 1rem 3rem; }
h1 { font-size: 1.5rem; margin: .2rem 0; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .4rem;
  padding-bottom: .25rem; border-bottom: 2px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .35rem; }
.tiles { display: grid; gap: .6rem; margin: 1rem 0;
  grid-template-columns: repeat(4, 1fr); }
.tile { background: var(--card); border-radius: 8px; padding: .6rem .8rem;
  display: flex; flex-direction: column; }
.tile span, .tile small { color: var(--dim); font-size: .8rem; }
.tile b { font-size: 1.25rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.tile.up b { color: var(--good); } .tile.down b { color: var(--bad); }
.verdict p { margin: .15rem 0; overflow-wrap: anywhere; }
.verdict .told { color: var(--dim); font-size: .87rem; }
.bad { color: var(--bad); font-weight: 600; }
.panels { display: grid; gap: .4rem 1.6rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.panels > p { grid-column: 1 / -1; }
figure { margin: 0; min-width: 0; } figure svg { width: 100%; height: auto; display: block; }
.tables { display: grid; gap: 0 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 34rem), 1fr)); }
.table { min-width: 0; } .table.full { grid-column: 1 / -1; }
.wide { overflow-x: auto; background:
  linear-gradient(to right, var(--paper) 30%, transparent) left / 2.2rem 100% no-repeat local,
  linear-gradient(to left, var(--paper) 30%, transparent) right / 2.2rem 100% no-repeat local,
  linear-gradient(to right, var(--line), transparent) left / .8rem 100% no-repeat scroll,
  linear-gradient(to left, var(--line), transparent) right / .8rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .22rem .8rem .22rem 0; border-bottom: 1px solid var(--line);
  text-align: left; vertical-align: top; }
th { color: var(--dim); font-weight: 600; font-size: .85rem; }
td.n, th.n { text-align: right; white-space: nowrap; padding: .22rem 0 .22rem .8rem; }
td.t { overflow-wrap: anywhere; min-width: 4.2rem; } td.t:first-child { min-width: 8.5rem; }
td.d { min-width: 15rem; }
td.s, th.s, span.s { white-space: nowrap; } td.s:first-child { min-width: 3rem; }
tr.sum td { font-weight: 600; }
p.note { color: var(--dim); margin: .3rem 0; font-size: .87rem; }
@media (max-width: 56rem) { .tiles { grid-template-columns: 1fr 1fr; } }
@media (max-width: 40rem) {
  body { font-size: 14px; padding: .8rem .7rem 2rem; } .tile b { font-size: 1.1rem; }
  th, td { padding-right: .55rem; } td.n, th.n { padding-left: .55rem; } }
@media print {
  :root { color-scheme: light; --ink: #000; --paper: #fff; --card: #fff; --line: #bbb; --dim: #444;
    --bad: #a00000; --good: #06603d; --blue: #0072b2; --sky: #2b86c0; --orange: #b87700; --green: #007a5a;
    --red: #c05000; --violet: #8d3468; }
  body { font-size: 10pt; max-width: none; padding: 0 1px; }
  .tile { border: 1px solid var(--line); }
  .wide { overflow: visible; background: none; }
  .tiles { grid-template-columns: repeat(4, minmax(0, 1fr)); } .tile b { font-size: 1rem; }
  .panels { grid-template-columns: 1fr 1fr; } .tables { grid-template-columns: 1fr; }
  figure, .table tr, .tile { break-inside: avoid; } h2, h3 { break-after: avoid; }
}
"""
