"""Logging of the engine: one logger, lines to the run's log file and to standard error or to the events file."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from mimctl.engine.events import EventWriter

LOGGER_NAME = "mimctl"
_LINE = "%(asctime)s - %(levelname)s - %(message)s"
_TIME = "%Y/%m/%d %H:%M:%S"

TOLD_BY_EVENT = {"is_told_by_event": True}
"""`extra=` of a line whose facts travel as an event of their own: it is not sent a second time as a `log` event."""


class _EventHandler(logging.Handler):
    """Turn log records into `log` events."""

    def __init__(self, events: EventWriter) -> None:
        super().__init__()
        self.events = events

    def emit(self, record: logging.LogRecord) -> None:
        if not getattr(record, "is_told_by_event", False):
            self.events.emit("log", level=record.levelname.lower(), message=record.getMessage())


def get_logger() -> logging.Logger:
    """Return the engine's logger."""
    return logging.getLogger(LOGGER_NAME)


def configure_logging(
    *, level: int | str = "INFO", log_file: Path | None = None, events: EventWriter | None = None
) -> logging.Logger:
    """Send log lines to where this process writes: the first rank everything, the others warnings alone.

    Without `events` lines go to standard error; a second call replaces what an earlier one set.
    """
    logger = get_logger()
    logger.propagate = False
    rank = int(os.environ.get("RANK", "0"))
    logger.setLevel(level if rank == 0 else logging.WARNING)
    if events is not None and events.is_on:
        _replace(logger, "console", _EventHandler(events))
    elif not any(_is_live_console(handler) for handler in logger.handlers):
        _replace(logger, "console", _stderr_handler(rank))
    if log_file is not None and rank == 0:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        to_file = logging.FileHandler(log_file, encoding="utf-8", delay=True)
        to_file.setFormatter(logging.Formatter(_LINE, _TIME))
        _replace(logger, "file", to_file)
    return logger


def _is_live_console(handler: logging.Handler) -> bool:
    is_open = not isinstance(handler, _EventHandler) or handler.events.is_on
    return handler.get_name() == "console" and is_open


def _stderr_handler(rank: int) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    prefix = "" if rank == 0 else f"[rank {rank}] "
    handler.setFormatter(logging.Formatter(prefix + _LINE, _TIME))
    return handler


def _replace(logger: logging.Logger, name: str, handler: logging.Handler) -> None:
    handler.set_name(name)
    for held in [each for each in logger.handlers if each.get_name() == name]:
        logger.removeHandler(held)
        held.close()
    logger.addHandler(handler)
