"""`index.json` is grouped by project before it is read, and is the same whichever way it is written."""

from __future__ import annotations

import json

import pytest

from mimctl.errors import MimctlError
from mimctl.index.document import read_document
from mimctl.site.pages import to_json

HEAD = {"schema_version": 1, "generator": "mimctl 0", "torch": {"verified": "2.13.0"}}


def entry(project: str = "demo", version: str = "1.0", **changes: object) -> dict[str, object]:
    name = f"{project}-{version}-py3-none-any.whl"
    base = {"project": project, "filename": name, "url": f"files/{name}", "version": version, "tags": ["py3-none-any"]}
    return {**base, "sha256": "ab" * 32, "size": 1, "requires_dist": ['x; extra == "a"'], **changes}


ENTRIES = [entry(), entry("other"), entry(version="2.0", build={"backend": "cu13", "archs": ["9.0"]})]


@pytest.mark.parametrize("files", [[], ENTRIES[:1], ENTRIES])
def test_one_entry_a_line_or_in_any_other_way_it_says_the_same(files):
    data = {**HEAD, "files": files}
    ways = [
        to_json(data, many="files"),
        json.dumps(data),
        json.dumps(data, indent=2),
        json.dumps({"files": files, **HEAD}),
    ]
    found = [read_document(text.encode(), address="https://host/index") for text in ways]
    assert len({document.num_files for document in found}) == 1
    assert all(document.top == HEAD for document in found)
    projects = [{name: read() for name, read in document.projects.items()} for document in found]
    assert all(each == projects[0] for each in projects)
    assert sum(len(each) for each in projects[0].values()) == len(files)


def test_only_the_lines_of_the_asked_project_are_read():
    text = to_json({**HEAD, "files": ENTRIES}, many="files").replace('"other-1.0-py3', "this is no JSON")
    projects = read_document(text.encode(), address="https://host").projects
    assert [file.version for file in projects["demo"]()] == ["1.0", "2.0"]
    with pytest.raises(MimctlError) as caught:
        projects["other"]()
    assert caught.value.code == "bad-index"


def test_a_line_of_two_projects_is_refused():
    text = to_json({**HEAD, "files": [entry()]}, many="files").replace('{"filename"', '{"project": "evil", "filename"')
    with pytest.raises(MimctlError) as caught:
        read_document(text.encode(), address="https://host").projects["evil"]()
    assert caught.value.code == "bad-index"
