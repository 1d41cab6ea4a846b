"""`mimctl search`: models by name, data set and published figures."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from mimctl import api
from mimctl.cli.commands.script_verb import remade
from mimctl.cli.options import PATH, Context, VerbCommand, index_option, verb
from mimctl.cli.result import Line, Result, to_json
from mimctl.errors import MimctlError, UsageError, counted

if TYPE_CHECKING:
    from mimctl.cli.output import Output
    from mimctl.zoo.rows import Row
    from mimctl.zoo.search import Found

EATERS = ("--config", "--model", "--dataset", "--task", "--paper", "--sort", "--field", "--exclude-field")
"""Options that take all words up to the next option, as with mim."""

_FILE = re.compile(r".*(\.json|/).*")
_FALLING = r"-[^\W\d]\w"
"""A field in falling order; options of one letter have one."""
_VERSION = re.compile(r"[A-Za-z0-9][\w.-]*(==\d[\w.+!]*)?")


class SearchCommand(VerbCommand):
    """A command some of whose options take several words after one flag, and `--json` a file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse after repeating each of those options before each of its words."""
        lonely = _without_word(args)
        if lonely and not ctx.resilient_parsing:  # as when the shell asks for completions
            raise click.BadOptionUsage(lonely, f"Option {lonely!r} requires an argument.", ctx)
        return super().parse_args(ctx, spread(args))


def spread(args: Sequence[str]) -> list[str]:
    """Turn `--sort a b` into `--sort a --sort b`, and `--json FILE.json` into `--json-file FILE.json`.

    A word that compares something is a condition and ends the list.
    """
    spread: list[str] = []
    eater, is_first = "", False
    for position, word in enumerate(args):
        if word == "--":
            return [*spread, *args[position:]]
        following = args[position + 1] if position + 1 < len(args) else ""
        if word in EATERS:
            eater, is_first = word, True
        elif _is_option(word, eater):
            eater = ""
            if word == "--json" and _FILE.fullmatch(following) and not following.startswith("-"):
                word = "--json-file"
        elif eater and not is_first:
            if re.search(r"[<>=]", word):
                eater = ""
            else:
                spread.append(eater)
        else:
            is_first = False
        spread.append(word)
    return spread


def _without_word(args: Sequence[str]) -> str | None:
    """Return the first of those options that another option follows: click would take that for its word."""
    for word, following in itertools.pairwise(args):
        if word == "--":
            return None
        if word in EATERS and _is_option(following, word):
            return word
    return None


def _is_option(word: str, eater: str) -> bool:
    return word.startswith("-") and not re.match(_FALLING if eater == "--sort" else r"-[\d.]", word)


@verb(
    "search",
    examples=[
        "mimctl search det --model rtmdet",
        "mimctl search cls 'top_1>=80 and params<30M' --sort -top_1",
        "mimctl search det 'box_ap>=40' --sort params --json",
        "mimctl search det --task 'instance segmentation' --dataset lvis",
        "mimctl search mmdet --condition '128<batch_size<=256,epochs>100' --sort epochs batch_size",
        "mimctl search mmdet==3.3.0 --dataset lvis --field epochs box_ap weight",
    ],
    target=True,
    tells_unfinished=False,  # what is searched is an index, whatever state the environment is in
)
@click.argument("packages", nargs=-1, required=True, metavar="PACKAGE... [CONDITION]...")
@click.option("--config", "configs", multiple=True, metavar="TEXT...", help="Parts of names of models or configs.")
@click.option("--model", "models", multiple=True, metavar="TEXT...", help="Parts of names of model families.")
@click.option("--dataset", "datasets", multiple=True, metavar="TEXT...", help="Parts of names of training data.")
@click.option("--task", "tasks", multiple=True, metavar="TEXT...", help="Parts of names of what they do.")
@click.option("--paper", "papers", multiple=True, metavar="TEXT...", help="Parts of titles or addresses of papers.")
@click.option("--condition", "conditions", multiple=True, metavar="TEXT", help="For example 'epochs>100, box_ap>=40'.")
@click.option("--sort", multiple=True, metavar="FIELD...", help="Order by these fields, `-FIELD` falling.")
@click.option("--ascending/--descending", default=True, help="The lowest first, or the highest.")
@click.option("--field", "fields", multiple=True, metavar="FIELD...", help="Show these fields.")
@click.option("--exclude-field", "excluded", multiple=True, metavar="FIELD...", help="Show all but these fields.")
@click.option("--valid-config", is_flag=True, help="Print the names of the models alone.")
@click.option("--valid-field", is_flag=True, help="Print the names of the fields.")
@click.option("--to-dict", is_flag=True, help="Print model → field → value as JSON.")
@click.option(
    "--json-file", type=PATH, metavar="FILE", help="Write the JSON document to FILE (also `--json FILE.json`)."
)
@click.option("--local/--remote", "local", default=None, help="Installed packages only, or what is published.")
@index_option
def search(context: Context, packages: tuple[str, ...], **values: Any) -> Result:
    """Find models by name, data set and published figures.

    PACKAGE is a toolbox of ours, or a package that follows mim's convention: installed, or published as NAME==VERSION.
    """
    from mimctl.zoo.search import Query

    names, typed = divide(packages)
    query = Query(
        configs=values["configs"],
        models=values["models"],
        datasets=values["datasets"],
        tasks=values["tasks"],
        papers=values["papers"],
        conditions=(*typed, *values["conditions"]),
        sort=values["sort"],
        is_descending=not values["ascending"],
        fields=values["fields"],
        excluded=values["excluded"],
    )
    where: Literal["auto", "local", "remote"] = "auto" if values["local"] is None else "local"
    if values["local"] is False:
        where = "remote"
    with context.output.transfer_view() as watch:
        try:
            found = api.search(names, query, where=where, watch=watch, settings=context.settings)
        except MimctlError as err:
            raise _no_second_package(err, names) from err
    return _result(found, query_names=names, values=values, output=context.output)


def divide(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return packages and conditions: what compares something is a condition, but for `name==1.2` at the head."""
    names: list[str] = []
    for position, word in enumerate(words):
        is_name = _VERSION.fullmatch(word) and (position == 0 or "==" not in word or word.count(".") > 1)
        if not is_name and re.search(r"[<>=]", word):
            return names, list(words[position:]) if names else _no_package(word)
        names.append(word)
    return names, []


def _no_second_package(err: MimctlError, names: Sequence[str]) -> MimctlError:
    """Return an error that says how to look for a word among names, where it was taken for another package."""
    word = err.details.get("toolbox")
    if err.code != "no-zoo" or word not in names[1:]:
        return err
    typed = f"mimctl search {names[0]} --config {shlex.quote(str(word))}"
    hints = [f"each word before an option is a package; models of that name: `{typed}`", *err.hints]
    return MimctlError(err.message, code=err.code, causes=err.causes, hints=hints, details=err.details)


def _no_package(word: str) -> list[str]:
    raise UsageError(f"`{word}` is no package", hints=[f"name one first: `mimctl search det '{word}'`"])


def _result(found: Found, *, query_names: Sequence[str], values: dict[str, Any], output: Output) -> Result:
    data: dict[str, object] = {"packages": list(query_names)}
    if output.json or values["json_file"] is not None:
        data["models"] = [_plain(row, found) for row in found.rows]
    notes: list[Line] = [*found.notes]
    ids = list(dict.fromkeys(row.id for row in found.rows))
    if values["json_file"] is not None:
        return Result(data=data, lines=[str(_write(values["json_file"], data))], notes=notes)
    if values["to_dict"]:
        import json

        from mimctl.zoo.search import as_mapping

        text = json.dumps(as_mapping(found), indent=2, ensure_ascii=True)
        return Result(data=data, lines=text.split("\n"), quiet=text.split("\n"), notes=notes)
    if values["valid_config"]:
        return Result(data={**data, "names": ids}, lines=ids, quiet=ids, notes=notes)
    if values["valid_field"]:
        fields = list(found.fields)
        return Result(data={"packages": list(query_names), "fields": fields}, lines=fields, quiet=fields, notes=notes)
    if not found.rows:
        return Result(data=data, lines=["no model fits"], notes=notes)
    if output.json:
        return Result(data=data)
    from mimctl.cli.search_text import blocks_of, table_of

    if values["excluded"]:
        return Result(data=data, lines=blocks_of(found), quiet=ids, notes=notes)
    notes.append(counted(len(found.rows), "model"))
    lines = table_of(found, asked=bool(values["fields"]), width=output.width())
    return Result(data=data, lines=lines, quiet=ids, notes=notes)


def _plain(row: Row, found: Found) -> dict[str, object]:
    fields = {name: value for name in found.fields if (value := row.value(name)) is not None}
    return {"name": row.id, "package": row.package, "aliases": list(row.labels), "fields": fields}


def _write(path: Path, data: dict[str, object]) -> Path:
    from mimctl.cli.output import SCHEMA_VERSION
    from mimctl.files import write_text

    text = to_json({"schema_version": SCHEMA_VERSION, "command": "search", **data}) + "\n"
    write_text(path.expanduser().absolute(), text, mode=0o666)
    return path


COMMANDS = {"search": remade(search, SearchCommand)}
