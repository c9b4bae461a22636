"""The report: complete in itself, escaped, honest, and there for every stage of a job."""

from __future__ import annotations

import html.parser
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from automl.report import page
from automl.report.view import View
from automl.spec import REMEDIES, Interval, InvalidData, JobSpec, JobState
from tests.unit.report import jobs


class Page(html.parser.HTMLParser):
    """What a browser would see: tags, attributes, ids, the text."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(params=["classification", "regression"])
def finished(request, tmp_path) -> Page:
    state, spec = jobs.job(request.param)
    predictions = jobs.predictions(tmp_path / "predictions.npz", request.param)
    return Page(page.render(state, spec, job="projects/default/jobs/j1", dataset="penguins.csv", predictions=predictions))


def test_tags_are_balanced_and_ids_unique(finished):
    assert finished.unbalanced == []
    assert finished.open == []
    ids = [attributes["id"] for _, attributes in finished.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_link_leads_somewhere_on_the_page(finished):
    ids = {attributes.get("id") for _, attributes in finished.tags}
    links = [attributes["href"] for tag, attributes in finished.tags if tag == "a"]
    assert links
    assert all(link and link.startswith("#") and link[1:] in ids for link in links)


def test_nothing_is_loaded_and_nothing_runs(finished):
    names = {tag for tag, _ in finished.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "image", "use", "base", "form"}
    assert not [
        a
        for _, attributes in finished.tags
        for a in attributes
        if a.startswith("on") or a in ("src", "srcset", "xlink:href")
    ]
    policy = next(a["content"] for tag, a in finished.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy


@pytest.mark.parametrize(
    "section",
    [
        "artifacts",
        "score",
        "size",
        "leaderboard",
        "curves",
        "failures",
        "data",
        "space",
        "compression",
        "decisions",
        "recipe",
        "settings",
    ],
)
def test_a_finished_job_has_every_section(finished, section):
    assert section in {attributes.get("id") for tag, attributes in finished.tags if tag == "section"}


def test_the_ledger_names_each_loss_with_its_remedy():
    state, spec = jobs.job("classification")
    text = Page(page.render(state, spec)).text
    lost = {t.outcome for t in state.trials.values() if t.outcome in REMEDIES}
    assert len(lost) >= 4
    for outcome in lost:
        assert outcome.value in text
        assert REMEDIES[outcome] in text


def test_each_point_of_the_ladder_is_drawn_against_size_and_latency_with_its_recipe(finished):
    titles = [text for text in finished.words if text.startswith("structured-pruning, ")]
    assert {("41.0 KB" in t, "0.012 ms" in t) for t in titles} == {(True, False), (False, True)}
    assert all("keep 0.6" in t for t in titles)
    assert "lost 0.041, more than the tolerance of 0.01" in finished.text
    assert "fewer channels may do as well" in finished.text


def test_what_was_refused_and_excluded_is_said_with_the_reason():
    state, spec = jobs.job("classification")
    text = Page(page.render(state, spec)).text
    assert state.refused[0].reason in text
    assert state.space is not None
    for id, why in state.space.excluded.items():
        assert id in text
        assert why in text


def test_hostile_names_are_text_and_never_markup(tmp_path):
    state, spec = jobs.job("classification", names="hostile")
    classes = tuple(f"{jobs.HOSTILE}{i}" for i in range(5))
    predictions = jobs.predictions(tmp_path / "p.npz", "classification", classes=classes)
    written = page.render(state, spec, job=jobs.HOSTILE, dataset=jobs.HOSTILE, predictions=predictions)
    seen = Page(written)
    assert seen.unbalanced == []
    assert not {tag for tag, _ in seen.tags} & {"img", "script"}
    assert not [a for _, attributes in seen.tags for a in attributes if a.startswith("on")]
    assert "\u202e" not in written
    assert "onerror=alert(1)" in seen.text


def test_control_characters_surrogates_and_megabytes_are_survived():
    state, spec = jobs.job("classification")
    name = "a\x00\x1b[31m\ud800" + "x" * 1_000_000
    written = page.render(state, spec.model_copy(update={"display_name": name}), dataset=name)
    assert len(written.encode()) < 500_000
    assert "\x1b" not in written
    assert "\x00" not in written


def test_error_metrics_are_ranked_from_the_smallest():
    state, spec = jobs.job("regression")
    view = page.View(state, spec)
    values = [view.value(t) for t in view.ranked]
    assert not view.larger_is_better
    assert values == sorted(values)


def test_the_best_trial_leads_the_leaderboard():
    state, spec = jobs.job("classification")
    view = page.View(state, spec)
    assert view.best is not None
    assert view.ranked[0].id == view.best.id


def test_the_note_on_selection_grows_with_the_number_of_models():
    few, spec = jobs.job("classification", trials=3)
    many, _ = jobs.job("classification", trials=60)
    many.finished = few.finished  # the same validation figure, so that only the number of models differs

    def noise(state: JobState) -> float:
        found = re.search(r"up to about ([\d.]+) better", Page(page.render(state, spec)).text)
        assert found
        return float(found[1])

    assert noise(many) > noise(few) > 0


def test_artifacts_tell_their_interval_and_calibration_and_older_ones_a_dash():
    state, spec = jobs.job("classification")
    before = Page(page.render(state, spec)).text
    assert "0.9847 -0.002 to float 99.8 % 0.013 – 0.011 ms" in before
    assert "95 % interval (" not in before
    proof = state.artifacts["tflite-int8"].verification.changed(
        interval=Interval(low=0.9712, high=0.9911, method="bootstrap, 400 resamples"), calibration_error=0.031,
        calibration_shift=-0.012,
    )
    state.artifacts["tflite-int8"] = state.artifacts["tflite-int8"].changed(verification=proof)
    after = Page(page.render(state, spec)).text
    assert "0.9847 0.9712 to 0.9911 -0.002 to float 99.8 % 0.013 0.031 -0.012 to float 0.011 ms" in after
    assert "95 % interval (bootstrap, 400 resamples)" in after


@pytest.mark.parametrize("events", [0, 1, 4, 5, 12, 60])
def test_a_job_under_way_has_a_report_at_every_moment(events):
    history = jobs.history("classification")[:events]
    text = Page(page.render(JobState.fold(history), JobSpec(dataset="d"))).text
    assert "test figure was read" not in text


def test_a_failed_job_says_why():
    from automl.spec import Event
    from automl.spec.event import JobFinished

    state = JobState.fold(
        [Event(sequence=1, time=0, payload=JobFinished(state="FAILED", message="The data folder is full."))]
    )
    assert "The data folder is full." in Page(page.render(state, JobSpec(dataset="d"))).text


def test_predictions_that_are_none_are_refused_by_name(tmp_path):
    wrong = tmp_path / "predictions.npz"
    state, spec = jobs.job("classification")
    wrong.write_bytes(b"no zip")
    with pytest.raises(InvalidData, match=r"predictions\.npz"):
        page.render(state, spec, predictions=wrong)
    np.savez(wrong, y=np.zeros(3), float=np.zeros((4, 2)))
    with pytest.raises(InvalidData, match="expected y"):
        page.render(state, spec, predictions=wrong)


def test_the_command_prints_the_page_and_refuses_other_input(tmp_path: Path):
    state, spec = jobs.job("classification", trials=4)
    request = {"state": state.model_dump(mode="json"), "spec": spec.to_dict(), "job": "projects/default/jobs/j1"}
    done = subprocess.run(
        [sys.executable, "-m", "automl.report"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("<!doctype html>")
    refused = subprocess.run([sys.executable, "-m", "automl.report"], input="{}", capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr
    assert "spec" in refused.stderr


def test_an_ensembles_networks_stand_apart_from_the_ranking(tmp_path: Path) -> None:
    from tests.unit.search.fakes import Theatre, fold, spec

    job_spec = spec(wall_s=300.0, max_trials=6)
    state = fold(Theatre(tmp_path, spec=job_spec).run())
    text = page.render(state, job_spec)
    members = [t for t in state.trials.values() if t.origin == "final"]
    assert len(members) > 1
    assert f"The {len(members)} networks of the ensemble" in text
    assert "1 of 5" in text
    view = View(state, job_spec)
    assert {t.id for t in view.members} == {t.id for t in members}
    assert not {t.id for t in view.ranked} & {t.id for t in members}
    assert f"The first of the ensemble&#x27;s {len(members)} networks" in text
