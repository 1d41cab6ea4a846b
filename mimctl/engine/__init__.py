"""The engine that all toolboxes share: registry, runner, hooks, data, evaluation, checkpoints. It knows no task."""
