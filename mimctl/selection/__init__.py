"""Choose the wheel that fits an environment; pure: every candidate becomes Accepted or Rejected with its reason."""

from mimctl.selection.choose import (
    Accepted,
    Decision,
    Rejected,
    Selection,
    choose,
    has_compiled_here,
)
from mimctl.selection.order import public_version
from mimctl.selection.refusal import refusal
from mimctl.selection.warnings import newer_than_verified

__all__ = [
    "Accepted",
    "Decision",
    "Rejected",
    "Selection",
    "choose",
    "has_compiled_here",
    "newer_than_verified",
    "public_version",
    "refusal",
]
