"""Elements hold metainfo and data apart, and instances of one sample together."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

from mimctl.engine.structures import BaseDataElement, InstanceData, LabelData, PixelData
from mimctl.vision.structures import DetDataSample


def test_element_reads_metainfo_and_data_as_attributes():
    element = BaseDataElement(metainfo={"img_shape": (4, 5)}, score=0.5)
    assert element.img_shape == (4, 5)
    assert element.score == 0.5
    assert (element.keys(), element.metainfo_keys(), element.all_keys()) == (
        ["score"],
        ["img_shape"],
        ["img_shape", "score"],
    )
    assert element.get("absent", 3) == 3
    assert "score" in element
    assert "absent" not in element
    with pytest.raises(AttributeError, match="absent"):
        element.absent  # noqa: B018


def test_name_is_either_metainfo_or_data():
    element = BaseDataElement(metainfo={"a": 1}, b=2)
    with pytest.raises(AttributeError, match="set_metainfo"):
        element.a = 3
    with pytest.raises(AttributeError, match="other kind"):
        element.set_metainfo({"b": 3})


def test_metainfo_is_copied_in_and_out():
    shape = [4, 5]
    element = BaseDataElement(metainfo={"shape": shape})
    shape.append(6)
    element.metainfo["new"] = 1
    assert element.shape == [4, 5]
    assert "new" not in element


def test_fields_can_be_popped_and_deleted():
    element = BaseDataElement(metainfo={"a": 1}, b=2, c=3)
    assert element.pop("b") == 2
    assert element.pop("b", None) is None
    with pytest.raises(KeyError):
        element.pop("b")
    del element.c
    del element.a
    assert element.all_keys() == []
    with pytest.raises(AttributeError):
        del element.c


def test_new_and_update_take_over_fields():
    element = BaseDataElement(metainfo={"a": 1}, b=2)
    assert element.new().to_dict() == {"a": 1, "b": 2}
    assert element.new(metainfo={"a": 5}, c=1).to_dict() == {"a": 5, "c": 1}
    other = BaseDataElement(metainfo={"z": 0})
    other.update(element)
    assert other.to_dict() == {"z": 0, "a": 1, "b": 2}


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each)), lambda e: e.clone()]
)
def test_element_survives_copies(duplicate):
    sample = DetDataSample(metainfo={"img_id": 7}, gt_instances=InstanceData(labels=torch.arange(3)))
    made = duplicate(sample)
    made.gt_instances.labels += 1
    assert made.img_id == 7
    assert sample.gt_instances.labels.tolist() == [0, 1, 2]


def test_conversion_reaches_nested_elements():
    sample = DetDataSample(gt_instances=InstanceData(bboxes=torch.ones(2, 4), names=["a", "b"]))
    assert sample.to(torch.float64).gt_instances.bboxes.dtype == torch.float64
    assert isinstance(sample.numpy().gt_instances.bboxes, np.ndarray)
    assert isinstance(sample.numpy().to_tensor().gt_instances.bboxes, torch.Tensor)
    assert sample.cpu().gt_instances.names == ["a", "b"]
    assert sample.gt_instances.bboxes.dtype == torch.float32


def test_detection_sample_checks_the_type_of_its_fields():
    sample = DetDataSample()
    with pytest.raises(TypeError, match="InstanceData"):
        sample.gt_instances = torch.zeros(2)
    sample.my_own_field = 3


def test_properties_of_subclasses_work_as_in_openmmlab():
    class Sample(BaseDataElement):
        @property
        def proposals(self):
            return self._proposals

        @proposals.setter
        def proposals(self, value):
            self.set_field(value, "_proposals", dtype=InstanceData)

        @proposals.deleter
        def proposals(self):
            del self._proposals

    sample = Sample(proposals=InstanceData(labels=torch.arange(2)))
    assert sample.keys() == ["proposals"]
    assert "proposals" in sample
    assert len(sample.proposals) == 2
    with pytest.raises(TypeError):
        sample.proposals = 3
    del sample.proposals
    assert "proposals" not in sample


def test_instances_have_one_length():
    instances = InstanceData(labels=torch.arange(3), names=["a", "b", "c"])
    assert len(instances) == 3
    with pytest.raises(ValueError, match="2 entries"):
        instances.scores = torch.zeros(2)
    with pytest.raises(TypeError, match="length"):
        instances.scores = 3
    instances.names = ("x", "y", "z")
    assert len(InstanceData()) == 0


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (1, [1]),
        (-1, [2]),
        (slice(1, None), [1, 2]),
        ([2, 0], [2, 0]),
        ([True, False, True], [0, 2]),
        (torch.tensor([2, 1]), [2, 1]),
        (torch.tensor([False, True, False]), [1]),
        (np.array([0, 2]), [0, 2]),
    ],
)
def test_selection_reaches_every_kind_of_field(index, expected):
    instances = InstanceData(
        metainfo={"img_id": 3},
        labels=torch.arange(3),
        array=np.arange(3),
        names=["0", "1", "2"],
        pairs=((0, 0), (1, 1), (2, 2)),
        letters="012",
    )
    found = instances[index]
    assert found.img_id == 3
    assert found.labels.tolist() == expected
    assert found.array.tolist() == expected
    assert found.names == [str(each) for each in expected]
    assert found.pairs == tuple((each, each) for each in expected)
    assert found.letters == "".join(str(each) for each in expected)


def test_selection_refuses_what_does_not_fit():
    instances = InstanceData(labels=torch.arange(3))
    assert instances["labels"] is instances.labels
    with pytest.raises(IndexError):
        instances[3]
    with pytest.raises(ValueError, match="mask of 2"):
        instances[torch.tensor([True, False])]
    with pytest.raises(TypeError):
        instances[1.5]


def test_instances_can_be_joined():
    first = InstanceData(labels=torch.tensor([0]), names=["a"])
    second = InstanceData(labels=torch.tensor([1, 2]), names=["b", "c"])
    joined = InstanceData.cat([first, second])
    assert joined.labels.tolist() == [0, 1, 2]
    assert joined.names == ["a", "b", "c"]
    with pytest.raises(ValueError, match="different fields"):
        InstanceData.cat([first, InstanceData(labels=torch.tensor([1]))])
    with pytest.raises(ValueError, match="empty"):
        InstanceData.cat([])


def test_pixels_have_one_size_and_three_dimensions():
    pixels = PixelData(segmentation=torch.zeros(4, 6))
    assert pixels.segmentation.shape == (1, 4, 6)
    assert pixels.shape == (4, 6)
    with pytest.raises(ValueError, match="holds"):
        pixels.other = torch.zeros(1, 5, 6)
    with pytest.raises(ValueError, match="C, H, W"):
        pixels.other = torch.zeros(4)
    pixels.segmentation = torch.zeros(2, 8, 9)
    assert pixels.shape == (8, 9)
    assert pixels[2:4, 3].segmentation.shape == (2, 2, 1)
    assert pixels[-1, :].segmentation.shape == (2, 1, 9)


def test_labels_turn_one_hot_and_back():
    label = torch.tensor([0, 3])
    onehot = LabelData.label_to_onehot(label, 5)
    assert onehot.tolist() == [1, 0, 0, 1, 0]
    assert LabelData.onehot_to_label(onehot).tolist() == [0, 3]
    with pytest.raises(ValueError, match="outside"):
        LabelData.label_to_onehot(label, 3)
    with pytest.raises(ValueError, match="ones"):
        LabelData.onehot_to_label(torch.tensor([0, 2]))


def test_text_shows_metainfo_and_data():
    text = repr(DetDataSample(metainfo={"img_id": 7}, gt_instances=InstanceData(labels=torch.arange(2))))
    assert "img_id: 7" in text
    assert "labels: tensor([0, 1])" in text
