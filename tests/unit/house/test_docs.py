"""The examples in the documentation run as they are printed."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from automl import catalog
from automl.catalog import space
from automl.spec import InvalidInput, Modality, Profile, SearchSettings

DOCS = Path(__file__).parents[3] / "docs"


def blocks(page: Path, language: str) -> list[str]:
    """Code blocks of a page, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The page's technique, declared as its file would declare it."""
    declaration, test = blocks(DOCS / "adding-a-technique.md", "python")
    list(catalog.techniques)  # what there is without it
    source = tmp_path / "feature_masking.py"
    source.write_text(declaration)
    spec = importlib.util.spec_from_file_location("docs_feature_masking", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    yield module, test
    catalog.techniques.remove("feature-masking")


def profile(numeric: int) -> Profile:
    return Profile(
        modality=Modality.TABLE, task="tabular-classification", rows=2_000, numeric=numeric, classes=3, class_min=300
    )


def test_the_example_technique_passes_the_test_printed_below_it(example):
    module, test = example
    names = dict(vars(module))
    exec(compile(test, "adding-a-technique.md", "exec"), names)
    names["test_feature_masking_hides_its_share_and_leaves_the_data_alone"]()


def test_declaring_it_is_enough_to_be_found_searched_and_refused(example):
    entry = catalog.techniques["feature-masking"]
    assert entry.summary == "Feature masking: training rows lose a random share of their numeric inputs"
    derived = space.derive("tabular-classification", profile(10), SearchSettings(), frozenset())
    assert "feature-masking" in derived.techniques
    assert {d.name for d in derived.dimensions} >= {"use:feature-masking", "feature-masking.rate"}
    forced = space.derive("tabular-classification", profile(10), SearchSettings(force=("feature-masking",)), frozenset())
    assert forced.recipe(forced.default(), seed=1).has("feature-masking")
    with pytest.raises(InvalidInput, match="at least 4 numeric inputs"):
        space.derive("tabular-classification", profile(2), SearchSettings(force=("feature-masking",)), frozenset())


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_python_example_compiles(page):
    for block in blocks(page, "python"):
        compile(block, page.name, "exec")


@pytest.mark.parametrize("page", [*sorted(DOCS.rglob("*.md")), DOCS.parent / "README.md"], ids=lambda page: page.name)
def test_every_command_that_is_named_exists(page):
    import click

    from automl_client.cli.app import automl

    context = click.Context(automl)
    known = automl.list_commands(context)
    code = "\n".join(re.findall(r"```(?:bash|console|text)?\n.*?```|`[^`\n]+`", page.read_text(), re.DOTALL))
    for line in re.findall(r"(?:^|`|\$ )automl ([a-z][^\n`]*)", code, re.MULTILINE):
        words = line.split()
        assert words[0] in known, line
        command = automl.get_command(context, words[0])
        if isinstance(command, click.Group) and len(words) > 1 and re.fullmatch(r"[a-z]+", words[1]):
            command = command.get_command(click.Context(command), words[1])
            assert command is not None, line
        assert command is not None
        if command.context_settings.get("ignore_unknown_options"):
            continue  # `automl serve` hands its options to the server
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", line)) <= options | {"--help"}, line
