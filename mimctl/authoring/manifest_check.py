"""The manifest: every key, the verbs' functions, the configs' root, the names that others claim, the engine."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from mimctl import __version__
from mimctl.authoring.model import Examination, Finding, failure
from mimctl.config.tables.sources import Module, Sources
from mimctl.errors import MimctlError, Origin, counted, nearest
from mimctl.plugin.configs import list_configs
from mimctl.plugin.discover import find_engine_version, import_roots
from mimctl.plugin.fits import misfit_of, refuse_shared_words
from mimctl.plugin.manifest import FILE_NAME, Manifest, load_manifest, make_manifest, to_error
from mimctl.plugin.manifest_rules import find_mistakes, line_of
from mimctl.plugin.model import Plugin

NAME = "manifest"


def check_manifest(given: Examination) -> Iterator[Finding]:
    """Check `plugin.toml`; leave the manifest with the examination where it can be used at all."""
    path = given.subject.package_dir / FILE_NAME
    try:
        text, data = load_manifest(path)
    except MimctlError as err:
        yield failure(NAME, err)
        return
    mistakes = list(find_mistakes(data))
    yield from (failure(NAME, to_error(each, path, text)) for each in mistakes)
    if any(each.is_fatal for each in mistakes):
        return
    given.manifest = make_manifest(data)
    found = [*_verbs(given, text), *_configs(given, text), *_names(given, text), *_engine(given, text)]
    yield from found
    if not mistakes and not any(each.status == "fail" for each in found):
        others = given.manifest.words[1:]
        words = [f"`{given.manifest.name}`", counted(len(given.manifest.verbs), "verb")]
        words += [f"also {', '.join(others)}"] if others else []
        yield Finding(check=NAME, status="ok", message=f"{words[0]}: {', '.join(words[1:])}")


def _finding(
    given: Examination, text: str, path: str, message: str, *, status: str = "fail", hint: str = ""
) -> Finding:
    origin = Origin(file=str(given.subject.package_dir / FILE_NAME), line=line_of(text, path))
    return Finding(
        check=NAME,
        status="warn" if status == "warn" else "fail",
        message=message,
        origin=origin,
        hints=(hint,) if hint else (),
    )


def _verbs(given: Examination, text: str) -> Iterator[Finding]:
    manifest = _manifest(given)
    if not manifest.verbs:
        yield _finding(
            given,
            text,
            "verbs",
            "it offers no verb",
            status="warn",
            hint='add `[verbs]`: `train = "mimctl.engine.actions:train"`',
        )
    sources = Sources({"mimctl": _own(), given.subject.package.partition(".")[0]: _top(given)})
    for verb, entry in manifest.verbs.items():
        module_name, _, function = entry.partition(":")
        module = sources.module(module_name)
        if module is None:
            near = nearest(module_name, set(_modules(given)), most=1)
            hint = f"did you mean `{near[0]}:{function}`?" if near else ""
            yield _finding(
                given, text, f"verbs.{verb}", f"verb `{verb}`: there is no module `{module_name}`", hint=hint
            )
            continue
        found = sources.resolve_name(module, function)
        if found is None:
            near = nearest(function, _functions(module), most=1)
            hint = f"did you mean `{module_name}:{near[0]}`?" if near else ""
            yield _finding(
                given, text, f"verbs.{verb}", f"verb `{verb}`: `{module_name}` defines no `{function}`", hint=hint
            )
        elif not isinstance(found.node, ast.FunctionDef) or not _takes_one(found.node):
            message = f"verb `{verb}`: `{entry}` must be a function of one argument, the RunSpec"
            place = Origin(file=str(found.module.path), line=found.node.lineno)
            yield Finding(check=NAME, status="fail", message=message, origin=place)


def _takes_one(node: ast.FunctionDef) -> bool:
    positional = [*node.args.posonlyargs, *node.args.args]
    required = len(positional) - len(node.args.defaults)
    needs_more = any(default is None for default in node.args.kw_defaults)
    return required <= 1 and (bool(positional) or node.args.vararg is not None) and not needs_more


def _configs(given: Examination, text: str) -> Iterator[Finding]:
    manifest, plugin = _manifest(given), given.as_plugin()
    assert plugin is not None
    configs = list(list_configs(plugin))
    if not plugin.configs_dir.is_dir() or not configs:
        what = "is no folder" if not plugin.configs_dir.is_dir() else "holds no config"
        is_told = "root" in text
        message = f"the root of its configs, `{manifest.configs_root}`, {what}"
        yield _finding(given, text, "configs.root", message, status="fail" if is_told else "warn")
        return
    for number, (name, pattern) in enumerate(manifest.families):
        if not any(path.is_file() for path in plugin.configs_dir.glob(pattern)):
            yield _finding(
                given, text, f"families.{number}.configs", f"family `{name}`: no config is called `{pattern}`"
            )


def _names(given: Examination, text: str) -> Iterator[Finding]:
    own = given.as_plugin()
    assert own is not None
    others = [
        each
        for each in given.place.plugins
        if each.package_dir != given.subject.package_dir and each.distribution != own.distribution
    ]
    for each in refuse_shared_words([own, *others]):
        if each.distribution == own.distribution and not isinstance(each, Plugin):
            word = each.reason.split("`")[1]
            key = "name" if word == own.name else "aliases" if word in own.manifest.aliases else "scopes"
            yield _finding(given, text, key, each.reason, hint="take another word, or uninstall the other toolbox")


def _engine(given: Examination, text: str) -> Iterator[Finding]:
    wanted = _manifest(given).requires_engine
    engine = find_engine_version(import_roots(given.place.paths)) or __version__
    if wanted is None:
        major, minor = (*engine.split("."), "0")[:2]
        above = f"{major}.{int(minor) + 1}" if minor.isdigit() else f"{major}.9999"
        message = "it does not say which engine it needs"
        hint = f'add `requires_engine = ">={major}.{minor},<{above}"`'
        yield _finding(given, text, "schema_version", message, status="warn", hint=hint)
    elif (misfit := misfit_of(wanted, engine)) is not None:
        message = f"it needs mimctl {wanted}; the one beside it is {engine}, which is {misfit}"
        if misfit == "unreadable":
            message = f"`{wanted}` is no range of versions (PEP 440)"
        yield _finding(given, text, "requires_engine", message)


def _manifest(given: Examination) -> Manifest:
    assert given.manifest is not None
    return given.manifest


def _own() -> Path:
    return Path(__file__).resolve().parent.parent


def _top(given: Examination) -> Path:
    return given.subject.import_root / given.subject.package.partition(".")[0]


def _modules(given: Examination) -> Iterator[str]:
    root = given.subject.import_root
    for path in given.subject.package_dir.rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _functions(module: Module) -> set[str]:
    return set(module.definitions) | set(module.imports)
