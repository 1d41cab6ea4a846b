"""Parts of classifiers: losses against their definitions, heads, preprocessing, mixed batches, impossible arguments."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mimctl.engine.lookup.scopes import use_scope
from mimctl.engine.model import ImgDataPreprocessor
from mimctl.engine.registry import MODELS
from mimctl_cls.models.backbones.lenet import LeNet5
from mimctl_cls.models.backbones.resnet import ResNet, ResNet_CIFAR, ResNetV1d
from mimctl_cls.models.batch_augments import CutMix, Mixup, RandomBatchAugment
from mimctl_cls.models.data_preprocessor import ClsDataPreprocessor
from mimctl_cls.models.losses import CrossEntropyLoss, LabelSmoothLoss
from mimctl_cls.models.necks import GlobalAveragePooling
from mimctl_cls.structures import DataSample

LENET = {
    "type": "ImageClassifier",
    "backbone": {"type": "LeNet5", "num_classes": 10},
    "head": {"type": "ClsHead"},
}
RESNET = {
    "type": "ImageClassifier",
    "backbone": {"type": "ResNet", "depth": 18, "stem_channels": 8, "base_channels": 8},
    "neck": {"type": "GlobalAveragePooling"},
    "head": {"type": "LinearClsHead", "num_classes": 4, "in_channels": 64},
}


@pytest.fixture
def logits():
    return torch.randn(6, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)


LABELS = torch.tensor([0, 1, 2, 3, 3, 0])
SHARES = torch.tensor([[0.5, 0.5, 0, 0], [1, 0, 0, 0], [0, 0.2, 0.8, 0], [0, 0, 0, 1.0], [0.25] * 4, [0, 1, 0, 0]])


def made(**model):
    with use_scope("cls"):
        return MODELS.build(model)


def test_cross_entropy_is_torchs_for_labels_and_shares(logits):
    assert CrossEntropyLoss()(logits, LABELS).item() == pytest.approx(F.cross_entropy(logits, LABELS).item())
    soft = CrossEntropyLoss(use_soft=True, loss_weight=3)(logits, SHARES)
    assert soft.item() == pytest.approx(3 * -(SHARES * logits.log_softmax(1)).sum(1).mean().item())


def test_classes_and_samples_are_weighed(logits):
    weight, each = [1.0, 2, 3, 4], torch.tensor([1.0, 0, 1, 0, 0, 0])
    found = CrossEntropyLoss(class_weight=weight)(logits, LABELS, weight=each, avg_factor=2)
    nll = -logits.log_softmax(1)[torch.arange(6), LABELS]
    assert found.item() == pytest.approx((nll[0] * 1 + nll[2] * 3).item() / 2)
    each_class = CrossEntropyLoss(use_sigmoid=True, pos_weight=weight)(logits, F.one_hot(LABELS, 4))
    wanted = F.binary_cross_entropy_with_logits(logits, F.one_hot(LABELS, 4).float(), pos_weight=torch.tensor(weight))
    assert each_class.item() == pytest.approx(wanted.item())


def test_labels_where_shares_are_needed_are_refused(logits):
    with pytest.raises(ValueError, match=r"\(6, 4\).*not \(6,\)"):
        CrossEntropyLoss(use_sigmoid=True)(logits, LABELS)
    with pytest.raises(ValueError, match="exclude each other"):
        CrossEntropyLoss(use_sigmoid=True, use_soft=True)


@pytest.mark.parametrize(("mode", "eps"), [("original", 0.1), ("classy_vision", 0.1 / 1.1)])
def test_smoothed_labels_are_torchs(mode, eps, logits):
    found = LabelSmoothLoss(0.1, mode=mode)(logits, LABELS)
    assert found.item() == pytest.approx(F.cross_entropy(logits, LABELS, label_smoothing=eps).item())


def test_smoothed_multi_labels_keep_a_share_on_both_sides(logits):
    wanted = F.one_hot(LABELS, 4) * 0.8 + 0.1
    found = LabelSmoothLoss(0.1, mode="multi_label")(logits, F.one_hot(LABELS, 4))
    assert found.item() == pytest.approx(F.binary_cross_entropy_with_logits(logits, wanted).item())


def test_a_loss_for_another_number_of_classes_is_refused(logits):
    with pytest.raises(ValueError, match="is 5, the logits have 4"):
        LabelSmoothLoss(0.1, num_classes=5)(logits, LABELS)
    with pytest.raises(ValueError, match="label_smooth_val"):
        LabelSmoothLoss(1.0)


def test_lenet_takes_a_batch_of_one_and_gives_features_without_classes():
    assert LeNet5(10)(torch.rand(1, 1, 32, 32))[0].shape == (1, 10)
    assert LeNet5()(torch.rand(2, 1, 32, 32))[0].shape == (2, 120, 1, 1)


def test_features_are_given_after_each_stage():
    model = made(**RESNET).eval()
    images = torch.rand(2, 3, 64, 64)
    assert model.extract_feat(images, "backbone")[0].shape == (2, 64, 2, 2)
    assert model.extract_feat(images)[0].shape == (2, 64)
    assert model.extract_feat(images, "pre_logits").shape == (2, 64)
    with pytest.raises(ValueError, match="backbone, neck, pre_logits"):
        model.extract_feat(images, "head")


def test_predictions_come_without_samples_too():
    found = made(**RESNET).eval()(torch.rand(2, 3, 64, 64), mode="predict")
    assert [each.pred_score.shape for each in found] == [(4,), (4,)]
    assert all(each.pred_label.item() == each.pred_score.argmax() for each in found)
    assert found[0].pred_score.sum().item() == pytest.approx(1)


def test_accuracy_is_told_beside_the_loss_where_asked():
    head = made(type="ClsHead", topk=(1, 2), cal_acc=True)
    scores = torch.tensor([[3.0, 2, 1], [1, 2, 3]])
    losses = head.loss((scores,), [DataSample().set_gt_label(1), DataSample().set_gt_label(2)])
    assert {name: value.item() for name, value in losses.items() if name != "loss"} == {
        "accuracy_top-1": 50,
        "accuracy_top-2": 100,
    }


def test_a_model_without_head_says_so():
    model = made(type="ImageClassifier", backbone=LENET["backbone"])
    assert model(torch.rand(2, 1, 32, 32))[0].shape == (2, 10)
    with pytest.raises(ValueError, match="no `head`"):
        model(torch.rand(2, 1, 32, 32), mode="predict")


def test_several_labels_are_predicted_by_threshold_or_number():
    scores = torch.tensor([[2.0, -1, 0.5], [-3, -2, -1]])
    by_half = made(type="MultiLabelClsHead").predict((scores,))
    assert [each.pred_label.tolist() for each in by_half] == [[0, 2], []]
    best = made(type="MultiLabelClsHead", topk=2).predict((scores,))
    assert [each.pred_label.tolist() for each in best] == [[0, 2], [2, 1]]


def test_several_labels_are_each_a_question():
    scores = torch.tensor([[2.0, -1, 0.5]])
    found = made(type="MultiLabelClsHead").loss((scores,), [DataSample().set_gt_label([0, 2])])["loss"]
    wanted = F.binary_cross_entropy_with_logits(scores, torch.tensor([[1.0, 0, 1]]), reduction="sum")
    assert found.item() == pytest.approx(wanted.item())


def test_pooling_takes_tensors_and_tuples():
    maps = torch.rand(2, 3, 4, 5)
    assert torch.equal(GlobalAveragePooling()(maps), maps.mean((2, 3)))
    assert GlobalAveragePooling(dim=1)((torch.rand(2, 3, 4),))[0].shape == (2, 3)


def test_cifars_network_keeps_small_images_large():
    images = torch.rand(2, 3, 32, 32)
    assert ResNet_CIFAR(18, base_channels=8, stem_channels=8)(images)[0].shape == (2, 64, 4, 4)
    assert ResNet(18, base_channels=8, stem_channels=8)(images)[0].shape == (2, 64, 1, 1)
    with pytest.raises(ValueError, match="deep stem"):
        ResNet_CIFAR(18, deep_stem=True)


def test_variants_know_their_stems():
    assert {"stem.0.conv.weight", "layer2.0.downsample.1.weight"} <= set(ResNetV1d(depth=50).state_dict())


def test_pretrained_weights_are_the_backbones():
    model = made(**RESNET, pretrained="weights.pth")
    assert model.backbone.init_cfg == {"type": "Pretrained", "checkpoint": "weights.pth"}


def batch(**fields):
    images = [torch.full((3, 4, 4), 10.0 * number, dtype=torch.float32) for number in range(4)]
    return {"inputs": images, "data_samples": [DataSample().set_gt_label(number) for number in range(4)], **fields}


def test_batches_are_normalised_and_labels_made_scores():
    preprocess = ClsDataPreprocessor(mean=[10.0] * 3, std=[2.0] * 3, to_onehot=True, num_classes=5)
    done = preprocess(batch(), training=True)
    assert done["inputs"][:, 0, 0, 0].tolist() == [-5, 0, 5, 10]
    assert torch.equal(torch.stack([each.gt_score for each in done["data_samples"]]), torch.eye(5)[:4])


def test_to_rgb_reverses_the_channels():
    image = torch.arange(3.0).view(3, 1, 1)
    done = ClsDataPreprocessor(to_rgb=True)({"inputs": [image]})
    assert done["inputs"].flatten().tolist() == [2, 1, 0]
    assert done["data_samples"] is None


def test_images_and_scores_are_mixed_with_the_same_share_in_training_alone():
    np.random.seed(0)
    torch.manual_seed(0)
    augments = {"augments": {"type": "Mixup", "alpha": 1.0}}
    model = made(**{**LENET, "train_cfg": augments, "data_preprocessor": {"num_classes": 4}})
    assert isinstance(model.data_preprocessor, ClsDataPreprocessor)
    mixed = model.data_preprocessor(batch(), training=True)
    values = torch.stack([each.gt_score for each in mixed["data_samples"]]) @ torch.tensor([0.0, 10, 20, 30])
    assert torch.allclose(mixed["inputs"][:, 0, 0, 0], values)
    assert values.tolist() != [0, 10, 20, 30]
    plain = model.data_preprocessor(batch(), training=False)
    assert plain["inputs"][:, 0, 0, 0].tolist() == [0, 10, 20, 30]


def test_a_pasted_part_counts_by_its_area():
    np.random.seed(0)
    torch.manual_seed(0)
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 1, 8, 8)
    for _ in range(20):
        mixed, scores = CutMix(1.0)(images, torch.eye(4))
        for row, image in zip(scores, mixed, strict=True):
            counted = torch.stack([(image == number).float().mean() for number in range(4)])
            assert torch.allclose(counted, row, atol=1e-6)


def test_one_of_several_augments_is_drawn_by_its_chance():
    np.random.seed(0)
    calls = []
    draw = RandomBatchAugment(
        [lambda *both: calls.append(0) or both, lambda *both: calls.append(1) or both], [0.5, 0.2]
    )
    for _ in range(2000):
        draw(torch.rand(1, 1, 1, 1), torch.rand(1, 1))
    assert calls.count(0) / 2000 == pytest.approx(0.5, abs=0.04)
    assert calls.count(1) / 2000 == pytest.approx(0.2, abs=0.04)
    with pytest.raises(ValueError, match="at most 1"):
        RandomBatchAugment([Mixup(1.0)], [1.5])
    with pytest.raises(ValueError, match="alpha"):
        Mixup(0)


def test_samples_take_numbers_sequences_arrays_and_tensors():
    sample = DataSample()
    for value in (3, np.int64(3), np.array(3), torch.tensor(3), [3], (3,), np.array([3])):
        assert sample.set_gt_label(value).gt_label.tolist() == [3]
        assert sample.gt_label.dtype == torch.int64
    assert sample.set_pred_score(np.array([0.25, 0.75])).pred_score.dtype == torch.float32
    assert sample.num_classes == 2
    with pytest.raises(ValueError, match="3 values, and the sample 2 classes"):
        sample.set_gt_score([1.0, 0, 0])
    with pytest.raises(TypeError, match="not a str"):
        sample.set_gt_label("cat")


def test_another_preprocessor_may_be_given():
    assert isinstance(made(**LENET, data_preprocessor=ImgDataPreprocessor()).data_preprocessor, ImgDataPreprocessor)
