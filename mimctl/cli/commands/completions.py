"""`mimctl completions`: the script that teaches a shell our words."""

from __future__ import annotations

import click

from mimctl.cli.options import Context, verb
from mimctl.cli.result import Result


@verb(
    "completions",
    examples=[
        'eval "$(mimctl completions bash)"',
        "mimctl completions fish > ~/.config/fish/completions/mimctl.fish",
    ],
    uses=(),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completions(context: Context, shell: str) -> Result:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    from mimctl.cli.app import COMPLETION_VARIABLE
    from mimctl.cli.lazy import root

    kind = get_completion_class(shell)
    assert kind is not None
    completion = kind(root(), {}, "mimctl", COMPLETION_VARIABLE)
    text = (completion.source_template % completion.source_vars()).strip("\n")
    return Result(data={"shell": shell, "script": text}, lines=[text], quiet=[text])


COMMANDS = {"completions": completions}
