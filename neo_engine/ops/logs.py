"""Logging: readable lines with UTC times on stderr; stdout belongs to the result."""

from __future__ import annotations

import logging
import sys
import time

LOGGER_NAME = "neo_engine"


def setup_logging(level: str, quiet: bool) -> logging.Logger:
    """Return the engine's logger, writing lines of at least `level` (WARNING when quiet) to stderr."""
    logger = logging.getLogger(LOGGER_NAME)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)sZ %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    logger.propagate = False
    chosen = logging.getLevelName(level)
    logger.setLevel(max(chosen, logging.WARNING) if quiet else chosen)
    return logger
