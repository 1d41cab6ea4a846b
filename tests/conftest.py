"""What every test folder may use."""

import signal

from outside_data import test_data, test_reference

__all__ = ["test_data", "test_reference"]

# A shell that starts the tests in the background has them ignore Ctrl-C, and every process that they start; tests of
# Ctrl-C need what a terminal gives.
signal.signal(signal.SIGINT, signal.default_int_handler)
