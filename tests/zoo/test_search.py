"""Finding models among rows: filters, conditions, order, fields."""

from __future__ import annotations

import pytest

from mimctl.errors import MimctlError, UsageError
from mimctl.zoo.rows import Row, fields_of, match_fields
from mimctl.zoo.search import Query, search

ROWS = [
    Row(
        id="net_s_1x_coco",
        package="toy",
        labels=("net-s",),
        fields={
            "model": "Net",
            "epochs": 12,
            "coco/box_ap": 40.5,
            "training_data": "COCO",
            "config": "configs/net/s.py",
        },
    ),
    Row(
        id="net_l_3x_coco",
        package="toy",
        fields={"model": "Net", "epochs": 36, "coco/box_ap": "48.1", "training_data": ["COCO", "Objects365"]},
    ),
    Row(
        id="old_1x_lvis",
        package="toy",
        measured_on=("LVIS",),
        fields={"model": "Old", "epochs": 12, "lvis/box_ap": 22.0, "parameters": "24.33M"},
    ),
    Row(id="odd", package="toy", fields={"model": "Old", "epochs": "unknown"}),
]


def ids(**query):
    return [row.id for row in search(ROWS, Query(**query)).rows]


def test_parts_of_names_filter_without_regard_to_case_and_dashes():
    assert ids(configs=("NET-S",)) == ["net_s_1x_coco"]
    assert ids(configs=("net_s", "odd")) == ["net_s_1x_coco", "odd"]
    assert ids(configs=("net/s.py",)) == ["net_s_1x_coco"]
    assert ids(models=("old",)) == ["old_1x_lvis", "odd"]
    assert ids(datasets=("objects",)) == ["net_l_3x_coco"]
    assert ids(datasets=("lvis",)) == ["old_1x_lvis"], "who does not say what it was trained on goes by its results"


def test_a_part_that_no_name_has_is_an_error_with_the_nearest():
    with pytest.raises(MimctlError) as refused:
        ids(models=("Nett",))
    assert (refused.value.code, refused.value.hints) == ("unknown-model", ("did you mean `Net`?",))


def test_a_metric_means_it_on_every_data_set_and_a_number_in_a_text_counts():
    assert ids(conditions=("box_ap>=40",)) == ["net_s_1x_coco", "net_l_3x_coco"]
    assert ids(conditions=("box_ap<40",)) == ["old_1x_lvis"]
    assert ids(conditions=("lvis/box_ap>1",)) == ["old_1x_lvis"]
    assert ids(conditions=("params<30M",)) == ["old_1x_lvis"]


def test_all_conditions_must_hold():
    assert ids(conditions=("12<=epochs<36,box_ap>30",)) == ["net_s_1x_coco"]
    assert ids(conditions=("epochs==12", "model==old")) == ["old_1x_lvis"]


def test_figures_of_one_name_count_each():
    both = Row(id="both", package="toy", fields={"coco/box_ap": [44.7, 40.4], "epochs": 12})
    for condition, is_found in (("box_ap>44", True), ("40<box_ap<41", True), ("41<box_ap<44", False), ("box_ap>45", 0)):
        found = search([both, ROWS[0]], Query(conditions=(condition,))).rows
        assert (both in found) == bool(is_found), condition
    ordered = search([ROWS[0], both, ROWS[1]], Query(sort=("-box_ap",)))
    assert [row.id for row in ordered.rows] == ["net_l_3x_coco", "both", "net_s_1x_coco"]


def test_what_does_not_state_the_field_of_the_order_comes_last_either_way():
    assert ids(sort=("box_ap",)) == ["old_1x_lvis", "net_s_1x_coco", "net_l_3x_coco", "odd"]
    assert ids(sort=("box_ap",), is_descending=True) == ["net_l_3x_coco", "net_s_1x_coco", "old_1x_lvis", "odd"]


def test_a_dash_before_a_field_turns_its_order_round():
    assert ids(sort=("-box_ap",)) == ids(sort=("box_ap",), is_descending=True)
    assert ids(sort=("model", "-epochs")) == ["net_l_3x_coco", "net_s_1x_coco", "old_1x_lvis", "odd"]
    assert ids(conditions=("box_ap>1 and epochs<20",), sort=("-box_ap",)) == ["net_s_1x_coco", "old_1x_lvis"]


def test_several_fields_order_one_after_the_other():
    assert ids(sort=("model", "epochs")) == ["net_s_1x_coco", "net_l_3x_coco", "old_1x_lvis", "odd"]
    assert ids(sort=("epochs", "name")) == ["net_s_1x_coco", "old_1x_lvis", "net_l_3x_coco", "odd"]


def test_a_field_that_models_may_have_and_none_states_is_no_mistake():
    found = search(ROWS, Query(sort=("flops",), conditions=("epochs>12",)))
    assert [row.id for row in found.rows] == ["net_l_3x_coco"]
    assert found.notes == ("no model states `flops`",)


@pytest.mark.parametrize("query", [{"sort": ("box_app",)}, {"conditions": ("box_app>1",)}, {"fields": ("box_app",)}])
def test_an_unknown_field_is_refused_with_the_nearest_names(query):
    with pytest.raises(UsageError) as refused:
        ids(**query)
    assert refused.value.code == "unknown-field"
    assert "`box_ap`" in refused.value.hints[0]


def test_fields_are_shown_as_asked_for():
    assert search(ROWS, Query(fields=("epochs", "box_ap"))).fields == ("epochs", "coco/box_ap", "lvis/box_ap")
    assert search(ROWS, Query(excluded=("box_ap", "config", "training"))).fields == ("epochs", "model", "parameters")
    with pytest.raises(UsageError, match="contradict"):
        search(ROWS, Query(fields=("epochs",), excluded=("model",)))


def test_a_word_means_the_field_itself_before_all_that_hold_it():
    fields = ["epochs", "epochs_warmup", "training_memory(gb)", "a/top-1", "b/top-1"]
    assert match_fields("Epochs", fields) == ["epochs"]
    assert match_fields("epoch", fields) == ["epochs", "epochs_warmup"]
    assert match_fields("training memory", fields) == ["training_memory(gb)"]
    assert match_fields("top-1", fields) == match_fields("top_1", fields) == ["a/top-1", "b/top-1"]


def test_fields_of_the_most_models_come_first():
    assert fields_of(ROWS)[:2] == ["epochs", "model"]
