"""Writes the stubs of torch from its sources: `python -m mimctl.config.outside.collect TORCH_FOLDER… [--check]`.

Each folder is the `torch` package of one version, the oldest first. A stub takes what any of them takes, and requires
what all of them require, so that one table holds for all; what a version lacks shows when it builds the class.
`--check` compares instead: every class and parameter of the folders has to be in the stubs.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mimctl.config.outside import FOLDER, find_stub
from mimctl.config.tables.signatures import Parameter, Signature, signature_of
from mimctl.config.tables.sources import Found, Sources

MODULES = {
    "torch.nn": "torch.nn.modules",
    "torch.nn.parallel": "torch.nn.parallel",
    "torch.optim": "torch.optim",
    "torch.utils.data": "torch.utils.data",
}
"""Module that people import from → module whose imports are its classes."""
_BASES = {"torch.nn": "Module", "torch.optim": "Optimizer", "torch.utils.data": "Dataset"}

Signatures = dict[str, dict[str, Signature]]
"""Module → class → what its constructor takes."""


def read(folder: Path) -> Signatures:
    """Return the signatures of the public classes of one torch."""
    sources = Sources({"torch": folder})
    found: Signatures = {}
    for public, holder in MODULES.items():
        module = sources.module(holder)
        names = sorted(module.imports) if module else []
        classes = {name: sources.resolve_name(module, name) for name in names if module and name[0].isupper()}
        found[public] = {
            name: signature_of(sources, each)
            for name, each in classes.items()
            if isinstance(each, Found) and isinstance(each.node, ast.ClassDef)
        }
    return found


def merged(versions: Sequence[Signatures]) -> Signatures:
    """Return what holds for all versions, the oldest first."""
    result: Signatures = {}
    for module in MODULES:
        names = sorted({name for each in versions for name in each[module]})
        result[module] = {name: _merged([each[module][name] for each in versions if name in each[module]])
                          for name in names}  # fmt: skip
    return result


def _merged(signatures: Sequence[Signature]) -> Signature:
    newest = signatures[-1]
    names = dict.fromkeys(name for each in reversed(signatures) for name in each.params)
    params = {}
    for name in names:
        held = [each.params[name] for each in signatures if name in each.params]
        annotations, defaults = {each.annotation for each in held}, {each.default for each in held}
        params[name] = Parameter(
            is_required=len(held) == len(signatures) and all(each.is_required for each in held),
            annotation=held[0].annotation if len(annotations) == 1 else None,
            default=held[0].default if len(defaults) == 1 else None,
        )
    return Signature(params=params, extra=any(each.extra for each in signatures), positional=newest.positional)


def to_stub(module: str, classes: dict[str, Signature]) -> str:
    """Return the text of a module's stub."""
    base = _BASES.get(module, "")
    lines = [f'"""What the classes of {module} take, in every version that is supported."""', ""]
    if base:
        lines += [f"class {base}: ...", ""]
    for name, signature in classes.items():
        if name == base:
            continue
        lines += [f"class {name}({base}):" if base else f"class {name}:"]
        lines += [f"    def __init__(self{''.join(_arguments(signature))}) -> None: ...", ""]
    return "\n".join(lines)


def _arguments(signature: Signature) -> Iterator[str]:
    is_by_name = has_optional = False
    for name, parameter in signature.params.items():
        if not is_by_name and (name not in signature.positional or (has_optional and parameter.is_required)):
            is_by_name = True
            yield ", *"
        has_optional |= not parameter.is_required
        annotation = f": {parameter.annotation}" if parameter.annotation else ""
        default = repr(parameter.default) if parameter.default is not None else "..."
        yield f", {name}{annotation}" + ("" if parameter.is_required else f" = {default}")
    if signature.extra:
        yield ", **kwargs: Any"


def lacking(folder: Path) -> list[str]:
    """Return what a torch has and the stubs lack, or require and it does not."""
    stubs = Sources({})
    found = []
    for module, classes in read(folder).items():
        held = stubs.module(module)
        for name, signature in classes.items():
            place = stubs.resolve_name(held, name) if held else None
            if name == _BASES.get(module):
                continue
            known = signature_of(stubs, place) if place else None
            if known is None:
                found.append(f"{module}.{name}")
                continue
            found += [f"{module}.{name}({each})" for each in signature.params if each not in known.params]
            found += [
                f"{module}.{name}({each}) is required"
                for each, facts in known.params.items()
                if facts.is_required and (each not in signature.params or not signature.params[each].is_required)
            ]
    return found


def main(arguments: Sequence[str]) -> int:
    """Write the stubs, or say what they lack; return 1 where something is lacking."""
    folders = [Path(each) for each in arguments if not each.startswith("-")]
    if not folders or set(arguments) - {str(each) for each in folders} - {"--check"}:
        sys.stderr.write("usage: python -m mimctl.config.outside.collect TORCH_FOLDER… [--check]\n")
        return 2
    if "--check" in arguments:
        missing = [each for folder in folders for each in lacking(folder)]
        sys.stderr.write("".join(f"the stubs lack {each}\n" for each in missing))
        return 1 if missing else 0
    for module, classes in merged([read(folder) for folder in folders]).items():
        path = find_stub(module) or FOLDER.joinpath(*module.split("."), "__init__.stub")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(to_stub(module, classes), encoding="utf-8")
        sys.stdout.write(f"{path}: {len(classes)} classes\n")
    for folder in {parent for module in MODULES for parent in FOLDER.joinpath(*module.split(".")).parents}:
        if folder.is_relative_to(FOLDER) and folder != FOLDER and not (folder / "__init__.stub").exists():
            (folder / "__init__.stub").write_text("", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
