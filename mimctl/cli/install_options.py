"""What `install` takes beside names: files, folders, package indexes, builds; pip's and mim's words for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from mimctl.installer.model import InstallOptions

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def request_options(command: _Decorated) -> _Decorated:
    """Add what is asked for beside names, and how it is chosen."""
    for option in reversed(_REQUESTS):
        command = option(command)
    return command


def package_options(command: _Decorated) -> _Decorated:
    """Add where packages that are not mimctl's come from, and how sources are built."""
    for option in reversed(_PACKAGES):
        command = option(command)
    return command


def take_options(values: Mapping[str, Any]) -> InstallOptions:
    """Return the choices of an installation from the values of these options."""
    from mimctl.installer.model import InstallOptions

    return InstallOptions(
        torch=values["torch"],
        variant=values["variant"],
        upgrade=values["upgrade"],
        upgrade_all=values["upgrade_strategy"] == "eager" and values["upgrade"],
        pre=values["pre"],
        reinstall=values["reinstall"],
        requirement_files=values["requirement"],
        constraint_files=values["constraint"],
        editables=values["editable"],
        index_url=values["index_url"],
        extra_index_urls=values["extra_index_url"],
        find_links=values["find_links"],
        no_index=values["no_index"],
        trusted_hosts=values["trusted_host"],
        requires_hashes=values["require_hashes"],
        builds=frozenset(values["build"]),
        is_isolated=not values["no_build_isolation"],
    )


find_links_option = click.option(
    "-f", "--find-links", multiple=True, metavar="PLACE", help="A folder or page of wheels."
)

_REQUESTS: tuple[Callable[[Any], Any], ...] = (
    click.option("-r", "--requirement", multiple=True, metavar="FILE", help="Install what a requirements file lists."),
    click.option("-e", "--editable", multiple=True, metavar="DIR", help="Install a project that stays editable."),
    click.option("-c", "--constraint", multiple=True, metavar="FILE", help="Limit versions as a file says."),
    click.option("-U", "--upgrade", is_flag=True, help="Take newer versions of what is named."),
    click.option(
        "--upgrade-strategy",
        type=click.Choice(["only-if-needed", "eager"]),
        default="only-if-needed",
        help="With -U: of what is named alone, or (eager) of all that it needs.",
    ),
    click.option("--reinstall", "--force-reinstall", "reinstall", is_flag=True, help="Place what is named anew."),
    click.option("--pre", is_flag=True, help="Take pre-releases too."),
    click.option("--require-hashes", is_flag=True, help="Ask for a hash of everything that is installed."),
)

_PACKAGES: tuple[Callable[[Any], Any], ...] = (
    click.option("-i", "--index-url", metavar="ADDRESS", help="A package index in place of the one pip has."),
    click.option("--extra-index-url", multiple=True, metavar="ADDRESS", help="One more package index; it comes first."),
    find_links_option,
    click.option("--no-index", is_flag=True, help="Ask no package index."),
    click.option("--trusted-host", multiple=True, metavar="HOST", help="Do not verify this host's certificate."),
    click.option("--build", "--no-binary", "build", multiple=True, metavar="NAME", help="Build this one from source."),
    click.option("--no-build-isolation", is_flag=True, help="Build with what the environment holds."),
)
