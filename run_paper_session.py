"""Run one timed paper session; `python run_paper_session.py --help` tells how."""

from neo_engine.cli import paper_parser, run

run(paper_parser())
