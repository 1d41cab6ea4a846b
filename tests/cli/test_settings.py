"""`mimctl settings`: precedence, origins, and changing the user's file."""

from __future__ import annotations

import json

import pytest

from mimctl.errors import ConfigError, UsageError
from mimctl.settings import load
from mimctl.settings.changing import set_value, unset_value
from mimctl.settings.keys import KEYS


def environ(tmp_path):
    return {"HOME": str(tmp_path)}


def test_each_source_of_a_setting_beats_the_next_and_says_where_it_stands(tmp_path):
    user = tmp_path / ".config" / "mimctl" / "config.toml"
    user.parent.mkdir(parents=True)
    user.write_text('# mine\ninstaller = "pip"\nindex = ["https://user.example"]\nhttp_retries = 5\n')
    project = tmp_path / "project"
    (project / "deep").mkdir(parents=True)
    (project / "pyproject.toml").write_text('[tool.mimctl]\nindex = "https://project.example"\n')
    settings = load(
        {"installer": "uv"}, environ={**environ(tmp_path), "MIMCTL_OFFLINE": "1"}, folder=project / "deep", uses=()
    )
    assert (settings.installer, str(settings.origin("installer"))) == ("uv", "--installer")
    assert (settings.offline, str(settings.origin("offline"))) == (True, "MIMCTL_OFFLINE")
    assert settings.index == ("https://project.example",)
    assert str(settings.origin("index")) == f"{project / 'pyproject.toml'}:2"
    assert (settings.http_retries, str(settings.origin("http_retries"))) == (5, f"{user}:4")
    assert (settings.color, str(settings.origin("color"))) == ("auto", "default")


def test_several_indexes_stand_in_one_variable_and_paths_are_made_whole(tmp_path):
    settings = load(environ={**environ(tmp_path), "MIMCTL_INDEX_URL": "https://a.example ./site"}, folder=tmp_path)
    assert settings.index == ("https://a.example", str(tmp_path / "site"))


@pytest.mark.parametrize("name", ["mimctl.toml", "pyproject.toml"])
def test_an_unknown_key_names_the_file_and_the_line(tmp_path, name):
    head = "[tool.mimctl]\n" if name == "pyproject.toml" else "\n"
    (tmp_path / name).write_text(f"{head}ofline = true\n")
    with pytest.raises(ConfigError) as caught:
        load(environ=environ(tmp_path), folder=tmp_path)
    assert str(caught.value.origin) == f"{tmp_path / name}:2"
    assert caught.value.hints == ("did you mean `offline`?",)


def test_a_value_of_the_wrong_kind_is_refused(tmp_path):
    (tmp_path / "mimctl.toml").write_text("http_retries = -1\n")
    with pytest.raises(ConfigError, match="wants a number >= 0"):
        load(environ=environ(tmp_path), folder=tmp_path)
    with pytest.raises(UsageError, match="wants true or false"):
        load(environ={**environ(tmp_path), "MIMCTL_OFFLINE": "perhaps"}, folder=tmp_path.parent)


def test_set_and_unset_keep_the_other_lines_of_the_file(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text('# my settings\noffline = false  # for now\n\n[mirrors]\n"a.example" = "https://b.example"\n')
    set_value("index", ["https://x.example", "https://y.example"], home=tmp_path)
    set_value("mirrors.c.example", ["https://d.example"], home=tmp_path.parent / "other")
    set_value("offline", ["yes"], home=tmp_path)
    assert path.read_text() == (
        '# my settings\n\nindex = ["https://x.example", "https://y.example"]\noffline = true\n'
        '[mirrors]\n"a.example" = "https://b.example"\n'
    )
    assert unset_value("index", home=tmp_path)[1] is True
    assert unset_value("index", home=tmp_path)[1] is False
    assert "index" not in path.read_text()


CLUSTERS = """\
# ours
[clusters.alpha]
partition = "gpu" # the fast ones
setup = [
    "if [ -e ~/env ]; then . ~/env; fi",
    "module load cuda",
]

[clusters.beta]
time = 90
"""


def test_what_clusters_ask_for_is_merged_key_by_key_and_says_where_it_stands(tmp_path):
    user = tmp_path / ".config" / "mimctl" / "config.toml"
    user.parent.mkdir(parents=True)
    user.write_text(CLUSTERS)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.mimctl]\ncolor = "never"\n[tool.mimctl.clusters]\nalpha.account = "a"\n'
    )
    settings = load(environ=environ(tmp_path), folder=tmp_path)
    alpha = settings.clusters["alpha"]
    assert (alpha.partition, alpha.account, settings.clusters["beta"].time) == ("gpu", "a", "90")
    assert alpha.setup == ("if [ -e ~/env ]; then . ~/env; fi", "module load cuda")
    assert str(settings.origin("clusters.alpha.partition")) == f"{user}:3"
    assert str(settings.origin("clusters.alpha.setup")) == f"{user}:4"
    assert str(settings.origin("clusters.beta.time")) == f"{user}:10"
    assert str(settings.origin("clusters.alpha.account")) == f"{tmp_path / 'pyproject.toml'}:4"


@pytest.mark.parametrize(
    ("line", "told", "hint"),
    [
        ("partitoin = 'x'", "unknown setting `clusters.alpha.partitoin`", "did you mean `partition`?"),
        ("gpus_per_node = 0", "`clusters.alpha.gpus_per_node` wants a number >= 1", ""),
        ('container = "a \'b"', "`clusters.alpha.container` is not quoted as a shell would read it", ""),
        ("setup = []", "`clusters.alpha.setup` wants a text or a list of texts", ""),
    ],
)
def test_a_mistake_in_a_clusters_table_names_its_line(tmp_path, line, told, hint):
    (tmp_path / "mimctl.toml").write_text(f"[clusters.alpha]\n{line}\n")
    with pytest.raises(ConfigError, match=told) as caught:
        load(environ=environ(tmp_path), folder=tmp_path)
    assert str(caught.value.origin) == f"{tmp_path / 'mimctl.toml'}:2"
    assert "".join(caught.value.hints) == hint


def test_one_value_of_a_cluster_is_set_and_unset_and_the_rest_stays(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(CLUSTERS)
    set_value("clusters.beta.setup", ["module load a", "x=']'"], home=tmp_path)
    set_value("clusters.gamma.cpus_per_task", ["4"], home=tmp_path)
    unset_value("clusters.alpha.setup", home=tmp_path)
    assert path.read_text() == (
        '# ours\n[clusters.alpha]\npartition = "gpu" # the fast ones\n\n'
        '[clusters.beta]\nsetup = ["module load a", "x=\']\'"]\ntime = 90\n\n'
        "[clusters.gamma]\ncpus_per_task = 4\n"
    )
    path.write_text(
        'clusters.alpha.time = "1"\nmirrors."a.example" = "https://b.example"\n\n[clusters.beta]\ntime = 2\n'
    )
    set_value("clusters.alpha.qos", ["high"], home=tmp_path)
    set_value("mirrors.c.example", ["https://d.example"], home=tmp_path)
    known = load(environ={**environ(tmp_path), "MIMCTL_HOME": str(tmp_path)}, folder=tmp_path / "no")
    assert (known.clusters["alpha"].qos, known.clusters["alpha"].time, known.clusters["beta"].time) == (
        "high",
        "1",
        "2",
    )
    assert set(known.mirrors) == {"a.example", "c.example"}
    path.write_text("clusters = { alpha = { qos = 'x' } }\n")
    with pytest.raises(UsageError, match="only an editor can change"):
        set_value("clusters.beta.qos", ["y"], home=tmp_path)


def test_settings_show_lists_what_clusters_ask_for(mimctl, home):
    assert mimctl("settings", "set", "clusters.alpha.partition", "gpu").code == 0
    assert mimctl("settings", "set", "clusters.alpha.setup", "module load a", "b").code == 0
    assert "clusters.alpha.partition" in mimctl("settings", "show").out
    shown = json.loads(mimctl("settings", "show", "clusters", "--json").out)["settings"]
    assert {name: each["value"] for name, each in shown.items()} == {
        "clusters.alpha.partition": "gpu",
        "clusters.alpha.setup": ["module load a", "b"],
    }
    assert shown["clusters.alpha.partition"]["origin"].startswith(f"{home}/.config/mimctl/config.toml:")
    assert mimctl("settings", "show", "clusters.alpha.partition").out == "gpu\n"
    said = mimctl("settings", "set", "clusters.alpha.partitoin", "x")
    assert (said.code, "did you mean `clusters.alpha.partition`?" in said.err) == (2, True)


def test_settings_set_survives_into_the_next_command(mimctl, home):
    assert mimctl("settings", "set", "index", "https://one.example").code == 0
    said = mimctl("settings", "show", "index")
    assert (said.code, said.out) == (0, "https://one.example\n")
    told = mimctl("settings", "show", "--origin").out
    assert f"({home}/.config/mimctl/config.toml:1)" in told
    assert mimctl("settings", "unset", "index").code == 0
    assert mimctl("settings", "show", "index").out == "-\n"


def test_mirrors_are_set_one_by_one(mimctl):
    mimctl("settings", "set", "mirrors.a.example", "https://m.example/a")
    mimctl("settings", "set", "mirrors.b.example", "https://m.example/b")
    mimctl("settings", "set", "mirrors.a.example", "https://n.example/a")
    shown = json.loads(mimctl("settings", "show", "--json").out)["settings"]["mirrors"]["value"]
    assert shown == {"a.example": "https://n.example/a", "b.example": "https://m.example/b"}


def test_a_broken_user_file_can_be_mended_with_unset(mimctl, home):
    folder = home / ".config" / "mimctl"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("nonsense = 1\n")
    said = mimctl("list")
    assert said.code == 2
    assert f"--> {folder}/config.toml:1" in said.err
    assert mimctl("settings", "unset", "nonsense").code == 0
    assert mimctl("list").code == 0


def test_an_unknown_setting_suggests_the_nearest(mimctl):
    said = mimctl("settings", "set", "indx", "x")
    assert said.code == 2
    assert said.err.startswith("error[settings]: there is no setting `indx`\n\nhint: did you mean `index`?")


def test_passwords_in_addresses_are_never_shown(mimctl):
    variable = {"MIMCTL_INDEX_URL": "https://me:s3cret@private.example/x"}
    for arguments in (["settings", "show"], ["settings", "show", "--json"], ["settings", "show", "index", "-v"]):
        said = mimctl(*arguments, env=variable)
        assert "s3cret" not in said.out + said.err
        assert "***@private.example" in said.out


def test_every_setting_says_what_it_is_for():
    assert all(key.meaning for key in KEYS.values())
