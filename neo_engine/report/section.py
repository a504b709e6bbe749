"""One table of a report, and how numbers look in it.

Amounts in RLUSD are shown with 6 decimals, rounded half to even; XRP has 6 by nature; prices 6; shares 1
and bps 2. The exact numbers are in the JSON form.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from neo_engine.domain.number import NEAREST
from neo_engine.report.model import share_pct

NONE = "-"
MAX_REASONS = 15  # rows of a table of reasons; what lies beyond is counted in its note
MAX_DETAIL_CHARS = 60
_SIX, _TWO, _ONE = Decimal("0.000001"), Decimal("0.01"), Decimal("0.1")


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One table: `columns` name the cells of a row; the first `left` are text, the others numbers.

    detail: the column of long sentences, which a terminal cuts and a page shows whole.
    """

    title: str
    columns: tuple[str, ...]
    left: int
    rows: tuple[tuple[str, ...], ...]
    note: str
    detail: int | None = None


def money(value: Decimal | None) -> str:
    """Return an amount or a price with 6 decimals, thousands separated; `-` for none."""
    return NONE if value is None else f"{value.quantize(_SIX, rounding=NEAREST):,f}"


def pct(count: int, total: int) -> str:
    """Return a share in percent with one decimal."""
    return f"{share_pct(count, total).quantize(_ONE, rounding=NEAREST):f} %"


def bps(value: Decimal | None) -> str:
    """Return bps with their sign and 2 decimals; `-` for none."""
    return NONE if value is None else f"{value.quantize(_TWO, rounding=NEAREST):+f}"


def short(text: str) -> str:
    """Return `text`, cut where it would make a table too wide."""
    return text if len(text) <= MAX_DETAIL_CHARS else text[: MAX_DETAIL_CHARS - 3] + "..."
