"""The static table of commands: help, suggestions and dispatch are answered from it without importing a command."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One command: its name, the topic it stands under in the help, one line about it, the module that holds it."""

    name: str
    topic: str
    summary: str
    module: str
    children: tuple[Entry, ...] = ()


def _verb(name: str, topic: str, summary: str, module: str | None = None) -> Entry:
    return Entry(name=name, topic=topic, summary=summary, module=module or f"mimctl.cli.commands.{name}")


def _group(name: str, topic: str, summary: str, module: str, *children: tuple[str, str]) -> Entry:
    entries = tuple(_verb(child, topic, text, module) for child, text in children)
    return Entry(name=name, topic=topic, summary=summary, module=module, children=entries)


INSTALLING = "Set up"
MODELS = "Models"
UPKEEP = "mimctl itself"
MAKING = "For maintainers"
TOPICS = (INSTALLING, MODELS, UPKEEP, MAKING)

COMMANDS: tuple[Entry, ...] = (
    _verb("env", INSTALLING, "Show what is on this machine: Python, torch, accelerator, each with its source"),
    _verb("doctor", INSTALLING, "Check the environment: what is well, what is not, and what to type"),
    _verb("install", INSTALLING, "Install a toolbox and the op wheel that fits, leaving torch alone"),
    _verb("upgrade", INSTALLING, "Bring toolboxes, engine and ops to the newest version"),
    _verb("uninstall", INSTALLING, "Remove a toolbox"),
    _verb("lock", INSTALLING, "Write what toolboxes need to a lock file, for one or several environments"),
    _verb("sync", INSTALLING, "Bring an environment to a lock file"),
    _verb("bundle", INSTALLING, "Write all that an installation needs to a folder, for machines without a network"),
    _verb("list", INSTALLING, "List the installed toolboxes", "mimctl.cli.commands.list_"),
    _verb("search", MODELS, "Find models by name, data set and published figures"),
    _verb("download", MODELS, "Fetch a model's config and weights, or a data set"),
    _verb("data", MODELS, "Look at a folder of images before training on it"),
    _verb("train", MODELS, "Train a model on your data or a config's"),
    _verb("test", MODELS, "Measure a checkpoint on a config's test set"),
    _verb("infer", MODELS, "Run a model on images"),
    _verb("sweep", MODELS, "Train once for each point of a grid"),
    _verb("gridsearch", MODELS, "The same as sweep, by mim's name", "mimctl.cli.commands.sweep"),
    _verb("status", MODELS, "Show what runs are doing"),
    _verb("logs", MODELS, "Print what a run has printed", "mimctl.cli.commands.status"),
    _verb("cancel", MODELS, "Stop a run", "mimctl.cli.commands.status"),
    _verb("resume", MODELS, "Go on with a training that was stopped", "mimctl.cli.commands.status"),
    _verb("run", MODELS, "Run a script of a package that follows mim's convention"),
    _group(
        "config",
        MODELS,
        "Look into experiment configs",
        "mimctl.cli.commands.config",
        ("show", "Print a config with its bases and overrides resolved"),
        ("diff", "Compare two resolved configs"),
        ("origin", "Say which file and line a value comes from"),
        ("lint", "Check a config without starting anything"),
    ),
    _verb("port", MODELS, "Move custom modules from mmengine, mmcv and the toolboxes to mimctl's names"),
    _group(
        "settings",
        UPKEEP,
        "Show and change mimctl's settings",
        "mimctl.cli.commands.settings",
        ("show", "Print each setting, with --origin where it comes from"),
        ("set", "Set a value in the user's config.toml"),
        ("unset", "Remove a value from the user's config.toml"),
        ("trust", "Accept what a project's file sets"),
    ),
    _group(
        "cache",
        UPKEEP,
        "Look after what was downloaded",
        "mimctl.cli.commands.cache",
        ("dir", "Print the folder of the cache"),
        ("size", "Print what the cache holds, by kind"),
        ("prune", "Remove what nobody has used for a while"),
        ("clean", "Remove everything, or all of some kinds"),
    ),
    _verb("explain", UPKEEP, "Explain an error code"),
    _verb("completions", UPKEEP, "Print the completion script of a shell"),
    _group(
        "plugin",
        MAKING,
        "Write a toolbox, and check it",
        "mimctl.cli.commands.plugin",
        ("new", "Write a new toolbox that trains at once"),
        ("check", "Check manifest, imports, types, configs and packaging, and that models build"),
    ),
    _group(
        "index",
        MAKING,
        "Build an index of wheels and models",
        "mimctl.cli.commands.index",
        ("build", "Turn wheels and zoo sources into a static index"),
        ("yank", "Withdraw wheels, or bring them back"),
        ("serve", "Serve an index to this machine, and look at it"),
    ),
    _group(
        "zoo",
        MAKING,
        "The catalogue of models that an index holds",
        "mimctl.cli.commands.zoo",
        ("import", "Bring the models of a package into the catalogue"),
        ("publish", "Publish the model of a run: weights, config, metafile, entry"),
        ("verify", "Test a published model, and compare with its published figures"),
        ("lint", "List what is irregular in a catalogue or a package's metafiles"),
    ),
    _group(
        "wheels",
        MAKING,
        "Op wheels: what is built and where it is verified",
        "mimctl.cli.commands.wheels",
        ("matrix", "Print the build and verification matrix of wheels-matrix.yaml"),
        ("build", "Build the wheel of one cell of the matrix"),
        ("audit", "Prove that finished wheels are what they say"),
        ("verify", "Run the tests with built wheels, beside each torch and Python"),
    ),
)

OTHER_WORDS: dict[str, str] = {
    "predict": "infer",
    "detect": "infer",
    "inference": "infer",
    "demo": "infer",
    "val": "test",
    "validate": "test",
    "eval": "test",
    "evaluate": "test",
    "export": "convert",
    "deploy": "convert",
    "remove": "uninstall",
    "ls": "list",
    "help": "--help",
    "fetch": "download",
    "pull": "download",
    "fit": "train",
    "completion": "completions",
    "version": "--version",
    "update": "upgrade",
}
"""Words of other tools → ours."""

PLUGIN_VERBS = ("browse", "analyze", "flops", "benchmark", "convert", "publish")
"""Verbs that a toolbox may offer beside train, test and infer."""
