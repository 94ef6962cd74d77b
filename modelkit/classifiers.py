"""Classifiers of ai.onnx.ml (scikit-learn, gradient boosting): which of them give probabilities.

The rules are those of ONNX Runtime's kernels (``ml_common.h``, ``write_scores``), which differ by the number of score
columns: one column of two classes is completed to the pair by the runtime, and then no softmax is applied.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from onnx import helper

if TYPE_CHECKING:
    import onnx

CLASSIFIERS = frozenset({"LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier"})
_TOLERANCE = 1e-3


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Return a node's attribute in Python's types; text is bytes."""
    return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), default)


def class_count(node: onnx.NodeProto) -> int:
    """Return the number of classes of a classifier of ai.onnx.ml."""
    names = ("classlabels_strings", "classlabels_ints", "classlabels_int64s")
    return max(len(attribute(node, name, [])) for name in names)


def squashes(node: onnx.NodeProto) -> bool:
    """Return whether the node itself makes numbers from 0 to 1 by a softmax or a sigmoid."""
    if attribute(node, "post_transform", b"NONE") not in (b"SOFTMAX", b"LOGISTIC"):
        return False
    if node.op_type == "LinearClassifier":
        return len(attribute(node, "intercepts", [])) == class_count(node)
    columns = set(attribute(node, "class_ids", []))
    return node.op_type == "TreeEnsembleClassifier" and (len(columns) == class_count(node) or _completes_sigmoid(node))


def classifier_total(node: onnx.NodeProto) -> float | None:
    """Return 1 if the a classifier's scores (its second output) always add up to 1; None if it is not sure."""
    transform = attribute(node, "post_transform", b"NONE")
    if transform == b"SOFTMAX":
        return 1.0 if squashes(node) and class_count(node) > 1 else None
    if transform == b"LOGISTIC":
        return 1.0 if _opposite_rows(node) or _completes_sigmoid(node) else None
    if transform != b"NONE":
        return None
    if node.op_type == "TreeEnsembleClassifier":
        return leaf_total(node)
    # Platt's parameters: ONNX Runtime couples them to probabilities, as libsvm does.
    return 1.0 if node.op_type == "SVMClassifier" and attribute(node, "prob_a", []) else None


def _opposite_rows(node: onnx.NodeProto) -> bool:
    """Whether two linear scores are x and -x, whose sigmoids add up to 1."""
    values, bias = attribute(node, "coefficients", []), attribute(node, "intercepts", [])
    half = len(values) // 2
    opposite = [one == -other for one, other in zip(values[:half], values[half:], strict=False)]
    linear = node.op_type == "LinearClassifier" and class_count(node) == 2 and len(bias) == 2
    return linear and half > 0 and all(opposite) and bias[0] == -bias[1]


def _completes_sigmoid(node: onnx.NodeProto) -> bool:
    """Whether the runtime makes the pair of sigmoids of one column; with positive leaves alone it applies none."""
    weights = attribute(node, "class_weights", [])
    single = node.op_type == "TreeEnsembleClassifier" and len(set(attribute(node, "class_ids", []))) == 1
    logistic = attribute(node, "post_transform", b"NONE") == b"LOGISTIC"
    return single and logistic and class_count(node) == 2 and bool(weights) and min(weights) < 0


def leaf_total(node: onnx.NodeProto) -> float | None:
    """Return 1 if every path through a ``TreeEnsembleClassifier`` gives shares of the classes that add up to 1.

    The trees of a forest hold shares of the training images in each leaf, divided by the number of trees; those of
    boosting hold scores of any size. None: they are no such shares.
    """
    values = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    if any(values.get(name) for name in ("base_values", "base_values_as_tensor", "class_weights_as_tensor")):
        return None
    weights, classes = values.get("class_weights", []), values.get("class_ids", [])
    trees, nodes = values.get("class_treeids", []), values.get("class_nodeids", [])
    leaves: dict[int, dict[int, float]] = defaultdict(dict)
    for tree, place, mode in zip(
        values.get("nodes_treeids", []), values.get("nodes_nodeids", []), values.get("nodes_modes", []), strict=False
    ):
        if mode == b"LEAF":
            leaves[tree][place] = 0.0
    if not leaves or not weights or min(weights) < 0:
        return None
    for tree, place, weight in zip(trees, nodes, weights, strict=False):
        if place not in leaves[tree]:
            return None
        leaves[tree][place] += weight
    sums = [list(places.values()) for places in leaves.values()]
    if class_count(node) == 2 and len(set(classes)) == 1:
        # One score p of two classes: the runtime gives 1 - p and p.
        return 1.0 if sum(max(values) for values in sums) <= 1 + _TOLERANCE else None
    if any(max(values) - min(values) > _TOLERANCE for values in sums):
        return None
    return 1.0 if abs(sum(values[0] for values in sums) - 1) < _TOLERANCE else None
