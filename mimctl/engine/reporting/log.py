"""Logging of the engine: one logger, lines to the file of their run and to standard error or to the events file."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mimctl.engine.reporting.events import EventWriter

LOGGER_NAME = "mimctl"
_LINE = "%(asctime)s - %(levelname)s - %(message)s"
_TIME = "%Y/%m/%d %H:%M:%S"

_LEVEL: contextvars.ContextVar[int] = contextvars.ContextVar("mimctl_log_level", default=logging.INFO)
_RUN: contextvars.ContextVar[object] = contextvars.ContextVar("mimctl_logged_run", default=None)

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


def configure_logging(*, level: int | str = "INFO", events: EventWriter | None = None) -> logging.Logger:
    """Send log lines to where this process writes: the first rank everything, the others warnings alone.

    Without `events` lines go to standard error; a second call replaces what an earlier one set. `level` holds for this
    thread or task: several runs in one process have each their own.
    """
    logger = get_logger()
    logger.propagate = False
    logger.setLevel(logging.DEBUG)  # each handler decides, by the run that a line comes from
    rank = int(os.environ.get("RANK", "0"))
    _LEVEL.set(_number(level) if rank == 0 else logging.WARNING)
    if events is not None and events.is_on:
        _replace(logger, "console", _EventHandler(events))
    elif not any(_is_live_console(handler) for handler in logger.handlers):
        _replace(logger, "console", _stderr_handler(rank))
    return logger


@contextlib.contextmanager
def kept_level() -> Iterator[None]:
    """Let this thread or task log at the level of before when the block ends: a run may start another one."""
    level = _LEVEL.get()
    try:
        yield
    finally:
        _LEVEL.set(level)


@contextlib.contextmanager
def logging_to(log_file: Path) -> Iterator[None]:
    """Write the lines of this thread or task to a file as well while the block runs.

    Rank 0 writes to `log_file`, rank n of several to a file of its own beside it, `<stem>_rank<n>.log`.
    """
    rank = int(os.environ.get("RANK", "0"))
    if rank:
        log_file = log_file.with_name(f"{log_file.stem}_rank{rank}{log_file.suffix}")
    log_file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(log_file, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter(_LINE, _TIME))
    run = object()
    token = _RUN.set(run)
    level = logging.INFO if rank else 0  # on the terminal other ranks show warnings alone, in their file all lines
    handler.addFilter(lambda record: _RUN.get() is run and record.levelno >= (level or _LEVEL.get()))
    get_logger().addHandler(handler)
    try:
        yield
    finally:
        get_logger().removeHandler(handler)
        handler.close()
        _RUN.reset(token)


class MMLogger:
    """The engine's logger by MMEngine's name: there is one, and each run's lines go to that run's file."""

    @classmethod
    def get_current_instance(cls) -> logging.Logger:
        """Return the engine's logger."""
        return get_logger()

    @classmethod
    def get_instance(cls, name: str, **kwargs: Any) -> logging.Logger:
        """Return the engine's logger, whatever the name; where it writes is the run's business."""
        return get_logger()


def print_log(msg: object, logger: logging.Logger | str | None = None, level: int = logging.INFO) -> None:
    """Log a message by a logger, by the engine's (`current`), by the one of another name, or not at all (`silent`).

    Without a logger it is printed.
    """
    if logger is None:
        sys.stdout.write(f"{msg}\n")
    elif isinstance(logger, logging.Logger):
        logger.log(level, msg)
    elif logger == "current":
        get_logger().log(level, msg)
    elif logger != "silent":
        logging.getLogger(logger).log(level, msg)


def _is_live_console(handler: logging.Handler) -> bool:
    is_open = not isinstance(handler, _EventHandler) or handler.events.is_on
    return handler.get_name() == "console" and is_open


def _number(level: int | str) -> int:
    return level if isinstance(level, int) else logging.getLevelNamesMapping()[level.upper()]


class _ErrorStreamHandler(logging.Handler):
    """Write lines to what standard error is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):  # a closed terminal ends no training
            self.handleError(record)


def _stderr_handler(rank: int) -> logging.Handler:
    handler = _ErrorStreamHandler()
    prefix = "" if rank == 0 else f"[rank {rank}] "
    handler.setFormatter(logging.Formatter(prefix + _LINE, _TIME))
    return handler


def _replace(logger: logging.Logger, name: str, handler: logging.Handler) -> None:
    handler.set_name(name)
    handler.addFilter(lambda record: record.levelno >= _LEVEL.get())
    for held in [each for each in logger.handlers if each.get_name() == name]:
        logger.removeHandler(held)
        held.close()
    logger.addHandler(handler)
