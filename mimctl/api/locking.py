"""Lock files: making one, and bringing an environment to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mimctl import settings as settings_module
from mimctl.api.looking import env
from mimctl.api.machines import facts_for
from mimctl.api.place import package_places
from mimctl.settings import Settings

if TYPE_CHECKING:
    from mimctl.api.place import Watch
    from mimctl.environment.model import Environment
    from mimctl.installer.asking.requirements_file import FileContents
    from mimctl.installer.locking.make import Locked
    from mimctl.installer.locking.requests import LockOptions
    from mimctl.installer.model import InstallPlan, InstallResult
    from mimctl.installer.prepare import Places

LOCK_FILE = Path("pylock.toml")


def lock(
    names: Sequence[str] | str = (),
    options: LockOptions | None = None,
    *,
    path: Path = LOCK_FILE,
    dry_run: bool = False,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> Locked:
    """Write what `names` resolve to, for one or several environments, to a lock file (PEP 751), and return it.

    Without names, what the lock that is there was made for. What is locked stays where it still serves; where nothing
    changes, the file is not touched. Raises UsageError for what cannot be locked, NoCompatibleBuildError for an
    environment that no build fits, MimctlError[packaging-too-old], and what resolving raises.
    """
    from mimctl.installer.locking.make import make_lock, save_lock
    from mimctl.installer.locking.requests import LockOptions

    settings, options = settings or settings_module.load(), options or LockOptions()
    wanted = [names] if isinstance(names, str) else names
    found = make_lock(
        wanted,
        options,
        path=path,
        target=lambda: env(settings=settings),
        open_places=lambda contents: open_places(settings, contents, find_links=options.find_links),
        note=watch.note if watch else None,
    )
    if not dry_run:
        save_lock(found)
    return found


def prepare_sync(
    path: Path = LOCK_FILE,
    *,
    environment: str | None = None,
    machine: str | None = None,
    exact: bool = False,
    locked: bool = False,
    frozen: bool = False,
    find_links: Sequence[str] = (),
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> InstallPlan:
    """Return what `sync` would change; changes nothing.

    `environment` names one of the lock's where the machine could be several, `machine` the one it is to run on, as for
    `install`. With `exact` what is not locked is
    removed, save torch, installers and mimctl. `locked` fails where the lock is not what locking would make now,
    `frozen` does not look at what it was made for; without either, the plan says so. `find_links` are folders and pages
    of wheels beside those of pip's configuration: a lock's own word for a folder is not enough. Raises
    UsageError[no-lock], MimctlError[stale-lock | not-locked | torch-locked | bad-lock], IntegrityError[hash-changed].
    """
    from mimctl.installer.locking.make import check_fresh, with_staleness
    from mimctl.installer.locking.reading import read_lock
    from mimctl.installer.locking.requests import index_folders
    from mimctl.installer.locking.sync import plan_sync
    from mimctl.installer.model import InstallOptions
    from mimctl.installer.prepare import check_writable
    from mimctl.installer.state import InstalledIn
    from mimctl.installer.transaction.change import check_finished

    settings = settings or settings_module.load()
    facts, told = facts_for(machine, settings)
    check_finished(facts)
    options = InstallOptions(find_links=tuple(find_links))
    places = package_places(settings, facts, options)
    lock_file = read_lock(path, folders=index_folders(places))
    if locked:
        check_fresh(
            lock_file,
            target=lambda: facts,
            open_places=lambda contents: package_places(settings, facts, options, contents),
            note=watch.note if watch else None,
        )
    plan = plan_sync(lock_file, facts, InstalledIn(facts), words=environment, is_exact=exact)
    if not plan.nothing_to_do:
        check_writable(facts)
    plan = plan if locked or frozen else with_staleness(plan, lock_file)
    return plan if told is None else replace(plan, notes=(told, *plan.notes))


def sync(
    path: Path = LOCK_FILE,
    *,
    environment: str | None = None,
    exact: bool = False,
    locked: bool = False,
    frozen: bool = False,
    find_links: Sequence[str] = (),
    plan: InstallPlan | None = None,
    watch: Watch | None = None,
    settings: Settings | None = None,
) -> InstallResult:
    """Bring the target environment to a lock file and return what changed (see `prepare_sync`).

    On any failure the environment is as before.
    """
    from mimctl.api.installing import install

    settings = settings or settings_module.load()
    plan = plan or prepare_sync(
        path,
        environment=environment,
        exact=exact,
        locked=locked,
        frozen=frozen,
        find_links=find_links,
        watch=watch,
        settings=settings,
    )
    return install((), plan=plan, watch=watch, settings=settings)


def open_places(settings: Settings, contents: FileContents | None, *, find_links: Sequence[str] = ()) -> Places:
    """Return where distributions come from: for the target's pip where there is a target, else for the user's."""
    from mimctl.errors import MimctlError
    from mimctl.installer.model import InstallOptions

    try:
        facts: Environment | None = env(settings=settings)
    except MimctlError:
        facts = None
    return package_places(settings, facts, InstallOptions(find_links=tuple(find_links)), contents)
