"""What every test folder may use."""

import os
import signal

from hypothesis import settings
from outside_data import test_data, test_reference

__all__ = ["test_data", "test_reference"]

# A shell that starts the tests in the background has them ignore Ctrl-C, and every process that they start; tests of
# Ctrl-C need what a terminal gives.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Where a change is judged, the same examples are tried each time; at a desk new ones are.
settings.register_profile("judge", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("judge")
