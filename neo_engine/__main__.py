"""`python -m neo_engine VERB`."""

from neo_engine.cli import engine_parser, run

run(engine_parser())
