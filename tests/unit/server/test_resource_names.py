"""Names of resources: what is printed is parsed again, and nothing else is a name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl.spec import InvalidInput
from automl_server import resource_names as names

EXAMPLES = [
    names.Project("default"),
    names.Upload("default", "u-1"),
    names.Dataset("p", "adult"),
    names.Dataset("p", "adult", "0" * 16),
    names.Job("p", "adult-1a"),
    names.Model("p", "m"),
    names.ModelVersion("p", "m", "12"),
    names.ModelVersion("p", "m", "latest"),
    names.Artifact("p", "m", "1", "tflite-int8"),
]


@pytest.mark.parametrize("name", EXAMPLES, ids=str)
def test_a_name_reads_as_it_prints(name: names.Name) -> None:
    assert type(name).parse(str(name)) == name
    assert names.project_of(str(name)) == name.project  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", EXAMPLES, ids=str)
@pytest.mark.parametrize("wrong", ["{}/", "/{}", "{}\n", " {}", "{}/x", "{}%", "x{}", ""])
def test_anything_else_is_refused_with_the_pattern(name: names.Name, wrong: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        type(name).parse(wrong.format(name))
    [violation] = caught.value.violations
    assert (violation.field, violation.reason) == ("name", "INVALID_NAME")
    assert type(name).template in violation.message


@given(st.text(max_size=200))
def test_a_slug_is_always_an_id(text: str) -> None:
    assert names.is_id(names.slug(text, "data"))


@given(st.text(max_size=60))
def test_no_text_passes_as_a_name_by_accident(text: str) -> None:
    with pytest.raises(InvalidInput):
        names.Job.parse(f"projects/{text}/jobs/../x")


def test_no_parent_is_the_default_project() -> None:
    assert names.Project.parent("") == names.Project("default")
    assert names.project_of("projectsx/a") is None
