"""Sentences that programs can tell apart."""

import pickle

import numpy as np

from cellseg1.masks import look_at_masks
from cellseg1.remarks import Remark


def test_a_remark_is_its_sentence_and_keeps_its_code_in_another_process():
    remark = Remark("specks", "Cell {cell} is smaller than {n} pixels.", cell=3, n=20)
    assert remark == "Cell 3 is smaller than 20 pixels."
    assert f"a.tif: {remark}" == "a.tif: Cell 3 is smaller than 20 pixels."
    copy = pickle.loads(pickle.dumps(remark))
    assert (copy, copy.code, copy.template, copy.values) == (remark, "specks", remark.template, {"cell": 3, "n": 20})


def test_names_with_braces_are_taken_as_they_are():
    assert Remark("missing", "No mask was found for {names}.", names="a{0}.tif") == "No mask was found for a{0}.tif."


def test_masks_are_judged_by_code():
    labels = np.zeros((40, 60), np.int32)
    labels[2:30, 2:50] = 1
    labels[35:37, 5:8] = 2
    assert [one.code for one in look_at_masks(labels.shape, labels)] == ["few_cells", "large_cell", "specks"]
    assert look_at_masks(labels.shape, np.zeros_like(labels))[0].code == "no_cells"
