"""Print the report of a session: python summarize_paper_run.py --db neo.db [--session ID] [--json]."""

from __future__ import annotations

import sys

from neo_engine.report.command import main

if __name__ == "__main__":
    sys.exit(main())
