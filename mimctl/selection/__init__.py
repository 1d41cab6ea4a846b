"""Choose the wheel that fits an environment; pure: every candidate becomes Accepted or Rejected with its reason."""
