"""`python -m neo_engine VERB`."""

import sys

from neo_engine.cli import engine_parser, run

run(engine_parser(sys.argv[1:]))
