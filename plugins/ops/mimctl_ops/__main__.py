"""`python -m mimctl_ops` prints `status()` as one JSON document."""

import json
import sys
from dataclasses import asdict

from mimctl_ops.library import status

sys.stdout.write(json.dumps(asdict(status())) + "\n")
