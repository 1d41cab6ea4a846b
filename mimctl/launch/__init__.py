"""From a request to a running child: the run's specification, its argv and environment, or a batch script."""
