"""Facts about another machine, a node of a cluster: read from JSON, put in the place of this machine's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mimctl.environment.installed import Fact
from mimctl.environment.model import Accelerator, Environment, Gpu, Libc, Platform
from mimctl.environment.plain import read_facts
from mimctl.errors import MimctlError, NoCompatibleBuildError

_MACHINE = ("platform", "libc", "accelerator", "gpus")


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """What was found on another machine."""

    name: str
    """What messages call it: "partition `gpu`", "`node.json`"."""
    facts: Mapping[str, Fact[Any]]
    """By the names that `mimctl env` gives them; what the machine is made of is always there."""
    python: str = ""
    """The interpreter that looked."""
    node: str = ""
    """The machine's own name, empty where nobody said it."""
    looked: str = ""
    """When, as `2026-11-21 14:03 UTC`."""

    @property
    def platform(self) -> Platform:
        """Return its operating system and processor."""
        found: Platform = self.facts["platform"].value
        return found

    @property
    def libc(self) -> Libc | None:
        """Return its C library."""
        found: Libc | None = self.facts["libc"].value
        return found

    @property
    def accelerator(self) -> Accelerator:
        """Return what it computes on besides its CPU."""
        found: Accelerator = self.facts["accelerator"].value
        return found

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """Return its GPUs; empty where a driver was found and no GPU was seen."""
        found: tuple[Gpu, ...] = self.facts["gpus"].value
        return found

    @property
    def seen(self) -> str:
        """Return where and when that was: `seen on n1, 2026-11-21 14:03 UTC`."""
        when = ", ".join(each for each in (f"on {self.node}" if self.node else "", self.looked) if each)
        return f"seen {when}" if when else "as it says of itself"


def read_elsewhere(text: str, *, name: str) -> Elsewhere:
    """Return what `mimctl env --json` printed on another machine, or mimctl has kept of it.

    Raises MimctlError[bad-facts] where it is something else.
    """
    try:
        document = json.loads(text)
        if not isinstance(document, dict) or not isinstance(document.get("facts"), dict):
            raise ValueError("it is no document of `mimctl env --json`")
        facts = read_facts(document["facts"])
        lacking = [each for each in _MACHINE if each not in facts]
        if lacking:
            raise ValueError(f"`{lacking[0]}` is missing")
    except (ValueError, RecursionError) as err:
        raise MimctlError(
            f"{name} holds no facts about a machine",
            code="bad-facts",
            causes=[str(err)],
            hints=["write them there: `mimctl env --json > node.json`"],
        ) from err
    target = document.get("target")
    return Elsewhere(
        name=name,
        facts=facts,
        python=str(target.get("python", "")) if isinstance(target, dict) else "",
        node=str(document.get("node") or ""),
        looked=str(document.get("looked") or ""),
    )


def on_machine(env: Environment, elsewhere: Elsewhere) -> Environment:
    """Return an environment with the driver, GPUs and C library of another machine: what runs there has to suit them.

    Of the two C libraries the older one counts, as packages are installed here. Raises NoCompatibleBuildError
    [other-machine] where programs of this machine do not run there.
    """
    here, there = env.platform.value, elsewhere.platform
    families = {each.family for each in (env.libc.value, elsewhere.libc) if each is not None}
    if (here.system, here.machine) != (there.system, there.machine) or len(families) > 1:
        raise NoCompatibleBuildError(
            f"what is installed here cannot run on {elsewhere.name}",
            code="other-machine",
            causes=[
                f"`{env.target.python}` is for {here} ({env.libc.value or 'no C library known'})",
                f"there it is {there} ({elsewhere.libc or 'no C library known'}), {elsewhere.seen}",
            ],
            hints=["make the environment there: start a job on such a machine, and install in it"],
        )
    names = ("accelerator", "gpus", "visible_gpus", "cuda_toolkit", "rocm")
    taken: dict[str, Any] = {name: _from(elsewhere, name) for name in names if name in elsewhere.facts}
    return replace(env, **taken, libc=_older(env, elsewhere))


def _from(elsewhere: Elsewhere, name: str) -> Fact[Any]:
    fact = elsewhere.facts[name]
    return Fact(value=fact.value, source=f"{elsewhere.name}: {fact.source}")


def _older(env: Environment, elsewhere: Elsewhere) -> Fact[Libc | None]:
    here, there = env.libc.value, elsewhere.libc
    if here is None or there is None or here.version <= there.version:
        return env.libc
    return _from(elsewhere, "libc")
