"""From a request to a running child: the run's specification, its argv and environment, or a batch script."""

from mimctl.launch.model import LaunchPlan, Outcome, RunRequest, SlurmOptions
from mimctl.launch.plan import choose_launcher, make_plan

__all__ = ["LaunchPlan", "Outcome", "RunRequest", "SlurmOptions", "choose_launcher", "make_plan"]
