"""Metrics of classification: equal to counting by hand, to scikit-learn and to mmpretrain's own examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mimctl.engine.evaluation import Evaluator
from mimctl.engine.lookup.scopes import use_scope
from mimctl.errors import ConfigError
from mimctl_cls.evaluation import Accuracy, AveragePrecision, ConfusionMatrix, MultiLabelMetric, SingleLabelMetric
from mimctl_cls.structures import DataSample

Array = np.ndarray[Any, Any]
LEVELS = [0.0, 0.1, 0.25, 0.5, 0.75, 1.0]  # few values, so that scores are often equal


@st.composite
def single(draw: st.DrawFn) -> tuple[Array, Array]:
    """Draw scores (N, classes) and labels (N,); some classes may be in no sample."""
    size, classes = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    scores = draw(arrays.arrays(np.float64, (size, classes), elements=st.sampled_from(LEVELS)))
    return scores, draw(arrays.arrays(np.int64, size, elements=st.integers(0, classes - 1)))


@st.composite
def multi(draw: st.DrawFn, least: int = 0) -> tuple[Array, Array]:
    """Draw scores and truths (N, classes) of `least` (-1: some do not count) to 1."""
    shape = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    scores = draw(arrays.arrays(np.float64, shape, elements=st.sampled_from(LEVELS)))
    return scores, draw(arrays.arrays(np.int64, shape, elements=st.integers(least, 1)))


def is_hit(scores: Array, label: int, k: int, threshold: float | None) -> bool:
    order = sorted(range(len(scores)), key=lambda each: (-scores[each], each))
    return label in order[:k] and (threshold is None or scores[label] > threshold)


@settings(max_examples=150, deadline=None)
@given(single(), st.integers(1, 6), st.sampled_from([None, 0.0, 0.25, 0.6]))
def test_accuracy_is_the_share_of_hits(drawn: tuple[Array, Array], k: int, threshold: float | None) -> None:
    scores, labels = drawn
    k = min(k, scores.shape[1])
    hits = [is_hit(row, label, k, threshold) for row, label in zip(scores, labels, strict=True)]
    found = Accuracy.calculate(scores, labels, topk=(1, k), thrs=(threshold,))
    assert found[1][0].item() == pytest.approx(100 * sum(hits) / len(hits), rel=1e-5)


def by_hand(predicted: Array, truth: Array, average: str | None) -> list[Any]:
    """Return precision, recall, F1 (percent) and support of 0/1 arrays (N, classes), counted one by one."""
    columns = (
        [(predicted.ravel(), truth.ravel())] if average == "micro" else list(zip(predicted.T, truth.T, strict=True))
    )
    rows = []
    for guessed, true in columns:
        hits = sum(1 for one, two in zip(guessed, true, strict=True) if one and two)
        precision = 100 * hits / sum(guessed) if sum(guessed) else 0.0
        recall = 100 * hits / sum(true) if sum(true) else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        rows.append((precision, recall, f1, int(sum(true))))
    if average is None:
        return [list(each) for each in zip(*rows, strict=True)]
    means = [sum(each) / len(rows) for each in zip(*rows, strict=True)]
    return [*means[:3], sum(each[3] for each in rows)]


@settings(max_examples=150, deadline=None)
@given(single(), st.sampled_from(["macro", "micro", None]), st.sampled_from([None, 0.0, 0.3]))
def test_single_label_figures_are_those_counted_by_hand(
    drawn: tuple[Array, Array], average: str | None, threshold: float | None
) -> None:
    scores, labels = drawn
    classes = scores.shape[1]
    chosen = np.eye(classes, dtype=int)[scores.argmax(1)]
    if threshold is not None:
        chosen[scores.max(1) <= threshold] = 0
    expected = by_hand(chosen, np.eye(classes, dtype=int)[labels], average)
    found = SingleLabelMetric.calculate(scores, labels, thrs=(threshold,), average=average)[0]
    for one, two in zip(found, expected, strict=True):
        assert one.tolist() == pytest.approx(two, rel=1e-4)
    same = SingleLabelMetric.calculate(scores.argmax(1), labels, average=average, num_classes=classes)
    every = SingleLabelMetric.calculate(scores, labels, thrs=(None,), average=average)[0]
    assert all(torch.equal(one, two) for one, two in zip(same, every, strict=True))


@settings(max_examples=100, deadline=None)
@given(multi(least=-1), st.sampled_from(["macro", "micro", None]))
def test_multi_label_figures_are_those_counted_by_hand(drawn: tuple[Array, Array], average: str | None) -> None:
    scores, truth = drawn
    predicted = (scores >= 0.5).astype(int)
    predicted[truth == -1] = 0
    expected = by_hand(predicted, np.clip(truth, 0, 1), average)
    for one, two in zip(MultiLabelMetric.calculate(scores, truth, average=average), expected, strict=True):
        assert one.tolist() == pytest.approx(two, rel=1e-4)


def area_by_hand(scores: Array, truth: Array) -> float:
    """Return the area below precision over recall, by trying every score as a threshold."""
    kept = truth > -1
    scores, truth = scores[kept], truth[kept]
    area, recall = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        found = scores >= threshold
        hits = int((truth[found] == 1).sum())
        if (truth == 1).any():
            now = hits / (truth == 1).sum()
            area += (now - recall) * hits / found.sum()
            recall = now
    return 100 * area


@settings(max_examples=150, deadline=None)
@given(multi(least=-1), st.randoms())
def test_average_precision_is_the_area_whatever_the_order(drawn: tuple[Array, Array], random: Any) -> None:
    scores, truth = drawn
    expected = [area_by_hand(scores[:, k], truth[:, k]) for k in range(scores.shape[1])]
    order = random.sample(range(len(scores)), len(scores))
    for rows in (list(range(len(scores))), order):
        found = AveragePrecision.calculate(scores[rows], truth[rows], average=None)
        assert found.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert AveragePrecision.calculate(scores, truth).item() == pytest.approx(np.mean(expected), rel=1e-4, abs=1e-4)


@pytest.mark.filterwarnings("ignore:A single label was found")
@settings(max_examples=30, deadline=None)
@given(single())
def test_figures_agree_with_scikit_learn(drawn: tuple[Array, Array]) -> None:
    peer = pytest.importorskip("sklearn.metrics")
    scores, labels = drawn
    classes = list(range(scores.shape[1]))
    chosen = scores.argmax(1)
    matrix = ConfusionMatrix.calculate(scores, labels)
    assert np.array_equal(matrix.numpy(), peer.confusion_matrix(labels, chosen, labels=classes))
    ours = SingleLabelMetric.calculate(scores, labels, thrs=(None,), average=None)[0]
    theirs = peer.precision_recall_fscore_support(labels, chosen, labels=classes, zero_division=0)
    for one, two, factor in zip(ours, theirs, (100, 100, 100, 1), strict=True):
        assert one.tolist() == pytest.approx((two * factor).tolist(), rel=1e-4)
    top1 = Accuracy.calculate(scores, labels, thrs=(None,))[0][0].item()
    assert top1 == pytest.approx(100 * peer.accuracy_score(labels, chosen), rel=1e-5)
    one_hot = np.eye(len(classes), dtype=int)[labels]
    with_samples = [k for k in classes if one_hot[:, k].any()]
    areas = AveragePrecision.calculate(scores, one_hot, average=None)
    for k in with_samples:
        assert areas[k].item() == pytest.approx(
            100 * peer.average_precision_score(one_hot[:, k], scores[:, k]), rel=1e-4
        )


def test_published_examples() -> None:
    """The examples that mmpretrain's documentation gives with their results."""
    assert Accuracy.calculate([0, 2, 1, 3], [0, 1, 2, 3]).tolist() == [50.0]
    figures = SingleLabelMetric.calculate([0, 1, 1, 3], [0, 2, 1, 3], num_classes=4)
    assert [each.item() for each in figures] == pytest.approx([62.5, 75.0, 66.6667, 4], rel=1e-5)
    matrix = ConfusionMatrix.calculate([0, 1, 1, 3], [0, 2, 1, 3], num_classes=4)
    assert matrix.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    figures = MultiLabelMetric.calculate(
        [[0], [1], [0, 1], [3]], [[0, 3], [0, 2], [1], [3]], pred_indices=True, target_indices=True, num_classes=4
    )
    assert [each.item() for each in figures] == pytest.approx([50.0, 50.0, 45.8333, 6], rel=1e-5)
    pred = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 1, 0, 0]]
    true = [[1, 1, 0, 0], [0, 0, 1, 0], [1, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    figures = MultiLabelMetric.calculate(torch.tensor(pred), torch.tensor(true))
    assert [each.item() for each in figures] == pytest.approx([43.75, 31.25, 33.3333, 8], rel=1e-5)
    scores = torch.tensor([[0.4575, 0.7335, 0.3934, 0.2572], [0.1318, 0.1004, 0.8248, 0.6448],
                           [0.8349, 0.6294, 0.7896, 0.2061], [0.4037, 0.7308, 0.6713, 0.8374],
                           [0.3779, 0.4836, 0.0313, 0.0067]])  # fmt: skip
    by_threshold = MultiLabelMetric.calculate(scores, torch.tensor(true), thr=0.1)
    assert [each.item() for each in by_threshold] == pytest.approx([42.5, 75.0, 53.1746, 8], rel=1e-5)
    best = MultiLabelMetric.calculate(scores, torch.tensor(true), topk=1)
    assert [each.item() for each in best] == pytest.approx([62.5, 31.25, 39.1667, 8], rel=1e-5)
    scores = torch.tensor([[0.9, 0.8, 0.3, 0.2], [0.1, 0.2, 0.2, 0.1], [0.7, 0.5, 0.9, 0.3], [0.8, 0.1, 0.1, 0.2]])
    truth = torch.tensor([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]])
    assert AveragePrecision.calculate(scores, truth).item() == pytest.approx(70.8333, rel=1e-5)
    assert AveragePrecision.calculate(scores, truth, average=None).tolist() == pytest.approx([100, 83.3333, 100, 0])


def samples(scores: Array, labels: Array) -> list[DataSample]:
    return [
        DataSample().set_pred_score(torch.from_numpy(row)).set_gt_label(int(label))
        for row, label in zip(scores, labels, strict=True)
    ]


SCORES = np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.1, 0.3, 0.6], [0.5, 0.3, 0.2]])
LABELS = np.array([0, 0, 2, 1])


def test_names_of_the_figures_are_the_fields() -> None:
    metrics = [
        {"type": "Accuracy", "topk": (1, 2)},
        {"type": "Accuracy", "thrs": (None, 0.55), "prefix": "sure"},
        {"type": "SingleLabelMetric", "items": ("precision", "support")},
        {"type": "SingleLabelMetric", "average": "micro", "prefix": "a"},
        {"type": "SingleLabelMetric", "average": None, "items": ["recall"], "thrs": (0.0, 0.65), "prefix": "b"},
        {"type": "ConfusionMatrix"},
        {"type": "MultiLabelMetric", "items": ["recall"]},
        {"type": "MultiLabelMetric", "thr": 0.7, "average": "micro", "items": ["recall"], "prefix": "c"},
        {"type": "MultiLabelMetric", "topk": 2, "average": None, "items": ["recall"], "prefix": "d"},
        {"type": "AveragePrecision"},
        {"type": "AveragePrecision", "average": None},
    ]
    with use_scope("mmpretrain"):
        evaluator = Evaluator(metrics)
    evaluator.process(samples(SCORES, LABELS))
    found = evaluator.evaluate(4)
    expected = {
        "accuracy/top1": 50.0, "accuracy/top2": 100.0, "sure/top1_no-thr": 50.0, "sure/top1_thr-0.55": 50.0,
        "single-label/precision": 50.0, "single-label/support": 4,
        "a/precision_micro": 50.0, "a/recall_micro": 50.0, "a/f1-score_micro": 50.0,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["b/recall_thr-0.00_classwise"] == [50.0, 0.0, 100.0]
    assert found["b/recall_thr-0.65_classwise"] == [50.0, 0.0, 0.0]
    assert found["confusion_matrix/result"] == [[1, 1, 0], [1, 0, 0], [0, 0, 1]]
    assert found["multi-label/recall"] == pytest.approx(50.0)
    assert found["c/recall_thr-0.70_micro"] == pytest.approx(25.0)
    assert found["d/recall_top2_classwise"] == pytest.approx([100.0, 100.0, 100.0])
    assert len(found["multi-label/AP_classwise"]) == 3
    assert found["multi-label/mAP"] == pytest.approx(np.mean(found["multi-label/AP_classwise"]))


def test_predictions_without_scores() -> None:
    plain = [DataSample(metainfo={"num_classes": 3}).set_pred_label(p).set_gt_label(t) for p, t in ((0, 0), (2, 1))]
    evaluator = Evaluator([Accuracy(topk=(1, 2)), SingleLabelMetric(items=["recall"]), ConfusionMatrix(num_classes=3)])
    evaluator.process(plain)
    found = evaluator.evaluate(2)
    assert found["accuracy/top1"] == 50.0
    assert found["single-label/recall"] == pytest.approx(100 / 3)
    assert found["confusion_matrix/result"] == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_ties_do_not_depend_on_the_machine() -> None:
    found = Accuracy.calculate(np.full((3, 3), 0.5), [0, 1, 2], topk=(1, 2, 3), thrs=(None,))
    assert [row[0].item() for row in found] == pytest.approx([100 / 3, 200 / 3, 100])


def test_scores_that_are_no_numbers_are_no_hits() -> None:
    scores = np.array([[np.nan, 0.1], [0.9, np.nan], [np.nan, np.nan]])
    assert Accuracy.calculate(scores, [0, 0, 1], thrs=(None,))[0][0].item() == 0


@pytest.mark.parametrize("label", [3, -1, 1000])
def test_label_beyond_the_classes_is_one_error(label: int) -> None:
    for calculate in (Accuracy.calculate, SingleLabelMetric.calculate, ConfusionMatrix.calculate):
        with pytest.raises(ConfigError, match=r"a true label is .*and there are 3 classes") as caught:
            calculate(SCORES, [0, 1, 2, label])
        assert caught.value.code == "class-mismatch"


def test_more_than_all_classes_cannot_be_best() -> None:
    evaluator = Evaluator(Accuracy(topk=(1, 5)))
    evaluator.process(samples(SCORES, LABELS))
    with pytest.raises(ConfigError, match="the top 5 of 3 classes") as caught:
        evaluator.evaluate(4)
    assert "a `topk` of 3 at most" in caught.value.hints[0]


def test_wrong_arguments_are_refused_at_once() -> None:
    for make in (
        lambda: SingleLabelMetric(items=["precison"]),
        lambda: SingleLabelMetric(average="weighted"),
        lambda: MultiLabelMetric(average="mean"),
        lambda: AveragePrecision(average="micro"),
    ):
        with pytest.raises(ConfigError, match="unknown"):
            make()


def test_nothing_processed_gives_no_figure() -> None:
    for metric in (Accuracy(), SingleLabelMetric(), ConfusionMatrix(), MultiLabelMetric(), AveragePrecision()):
        assert metric.compute_metrics([]) == {}
