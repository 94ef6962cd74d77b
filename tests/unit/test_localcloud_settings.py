"""Settings from a command line."""

from __future__ import annotations

import pytest

from localcloud.errors import CloudError
from localcloud.settings import compose, effective, overrides


def test_assignments_win_over_the_document_and_that_over_the_variable() -> None:
    merged = overrides(
        '{"model": {"name": "b"}, "function": {"memory_mib": 512}}', ["model.name=c"], {"LOUPE_MODEL": "a"}
    )
    assert merged == {"model": {"name": "c"}, "function": {"memory_mib": 512}}
    assert overrides(None, [], {"LOUPE_MODEL": "a"}) == {"model": {"name": "a"}}


def test_values_are_json_where_they_read_as_such() -> None:
    merged = overrides(None, ["a.b=5", "a.c=true", 'a.d=["x"]', "a.e=null", "a.f=text", "a.g=a=b"], {})
    assert merged == {"a": {"b": 5, "c": True, "d": ["x"], "e": None, "f": "text", "g": "a=b"}}


@pytest.mark.parametrize("assignment", ["model.name", "=5", "a..b=1"])
def test_an_assignment_that_is_none_is_rejected(assignment: str) -> None:
    with pytest.raises(CloudError, match="path=value"):
        overrides(None, [assignment], {})


@pytest.mark.parametrize("document", ["{", "[1]"])
def test_a_document_that_is_no_object_is_rejected(document: str) -> None:
    with pytest.raises(CloudError, match="--settings"):
        overrides(document, [], {})


def test_null_survives_composition_and_deletes_in_the_end() -> None:
    patch = compose({"function": {"memory_mib": 512}}, {"function": {"reserved_concurrency": None}})
    settings = effective(patch)
    assert (settings.function.memory_mib, settings.function.reserved_concurrency) == (512, None)


def test_a_setting_that_cannot_be_deployed_is_named() -> None:
    with pytest.raises(CloudError, match=r"function\.memory"):
        effective({"function": {"memory": 1}})
