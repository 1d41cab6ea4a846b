"""Look over one target environment: facts are gathered once, each check is a small function on them."""

from mimctl.checkup.checkup import check_up
from mimctl.checkup.model import Check, Report, Status

__all__ = ["Check", "Report", "Status", "check_up"]
