"""The data of a bundle: folders of one's own as they are, published data sets as the files that their publisher has."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mimctl.errors import IntegrityError, UsageError
from mimctl.settings import Settings
from mimctl.transfer import FileProgress, Note
from mimctl.zoo.datasets.fetch import FetchedData, fetch_data_set
from mimctl.zoo.datasets.incoming import Source, fetch_files
from mimctl.zoo.datasets.table import DataSet, find_data_set, find_description, unknown_data_set

_FOLDERS, _PUBLISHED = "data", "datasets"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedData:
    """A published data set, and the file that describes it: beside its files, where these are there."""

    data_set: DataSet
    description: Path

    @property
    def files(self) -> Path:
        """Return the folder in which its files lie by their names."""
        return self.description.parent


def choose_data(words: Sequence[Path | str]) -> tuple[list[Path], list[PublishedData]]:
    """Return the folders and the published data sets that words mean; a folder that is there goes before a name.

    A published one goes by its name in the table, or by a file of the table's form (`NAME.toml`). Raises UsageError
    [unknown-dataset | bad-data-set], and where two folders have one name.
    """
    folders: list[Path] = []
    published: dict[str, PublishedData] = {}
    for word in words:
        folder = Path(word).expanduser()
        if folder.is_dir():
            folders.append(folder)
            continue
        found, description = find_data_set(str(word)), find_description(str(word))
        if found is None or description is None:
            error = unknown_data_set(str(word))
            error.causes = (*error.causes, "and there is no folder of that name")
            raise error
        published[found.name] = PublishedData(data_set=found, description=description)
    names = [each.absolute().name for each in folders]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two folders of data are called `{name}`")
    return folders, list(published.values())


def fetch_data(
    published: Sequence[PublishedData],
    out: Path,
    *,
    settings: Settings,
    progress: FileProgress | None,
    note: Note | None,
) -> list[PublishedData]:
    """Fetch and verify the files of published data sets for a bundle at `out`; return them as they lie then.

    They come to the folder `<out>.part`: archives are long, so none are kept in the cache, and what was interrupted
    goes on there. What the bundle has that lies at `out` already is taken from it. Raises what `transfer.download`
    raises.
    """
    found = []
    for each in published:
        name = each.data_set.name
        place, before = out.with_name(f"{out.name}.part") / name, out / _PUBLISHED / name
        source = Source(settings=settings, folder=before, progress=progress, note=note or (lambda _line: None))
        fetch_files(each.data_set, place, source)
        shutil.copyfile(each.description, place / f"{name}.toml")
        found.append(PublishedData(data_set=each.data_set, description=place / f"{name}.toml"))
    return found


def take_data(root: Path, folders: Sequence[Path], published: Sequence[PublishedData]) -> Iterator[dict[str, object]]:
    """Copy folders of data into a bundle at `root`, move what was fetched; yield what its manifest says of each."""
    for folder in folders:
        place = f"{_FOLDERS}/{folder.absolute().name}"
        shutil.copytree(folder, root / place)
        yield {"name": folder.absolute().name, "path": place}
    for each in published:
        name = each.data_set.name
        place = f"{_PUBLISHED}/{name}"
        (root / place).mkdir(parents=True)
        for file in (each.description.name, *(file.name for file in each.data_set.choose(()))):
            shutil.move(each.files / file, root / place / file)
            (root / place / file).chmod(0o644)  # as all of a bundle: whoever carries it is not who installs
        shutil.rmtree(each.files)  # which holds locks alone now
        with contextlib.suppress(OSError):
            each.files.parent.rmdir()
        yield {"name": name, "path": place, "description": f"{place}/{each.description.name}"}


def read_published(folder: Path, said: Mapping[str, object], files: Mapping[str, object]) -> PublishedData:
    """Return a published data set that the manifest of the bundle in `folder` tells of.

    Raises IntegrityError[damaged-bundle] where its description is none of the bundle's `files`, which were checked;
    UsageError[bad-data-set] for one that this mimctl cannot read.
    """
    place = str(said["description"])
    found = find_data_set(str(folder / place)) if place in files else None
    if found is None:
        raise IntegrityError(f"`{folder.name}` is not as it was made", code="damaged-bundle", causes=[f"{place!r}"])
    return PublishedData(data_set=found, description=folder / place)


def lay_out(
    published: PublishedData, *, settings: Settings, progress: FileProgress | None, note: Note | None
) -> FetchedData:
    """Bring a data set out of a bundle to where configs look for it from here: verified, unpacked, moved when whole.

    What is there already stays. Raises what `fetch_data_set` raises.
    """
    return fetch_data_set(published.data_set, at_hand=published.files, settings=settings, progress=progress, note=note)
