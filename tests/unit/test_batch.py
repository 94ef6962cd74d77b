"""Batches: order, one outcome for each item, and limits of time, memory and response size."""

from __future__ import annotations

import json
import threading
import time
from functools import partial

import numpy as np
import pytest
from batch_calls import BLUE_ITEM, RED_ITEM, send
from events import Context, base64_of, body_of, http, json_body, rest
from fakes import Broken, make_app
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from images import BLUE, RED, exif, jpeg, scene, solid
from loupe import restart
from loupe.batch import MODEL_BATCH, WORKERS
from loupe.classifier import Classifier
from loupe.errors import ModelFailed, UrlUnreachable
from loupe.http import app as app_module
from loupe.http import batch_response
from loupe.prediction import Prediction
from loupe.service import Service
from loupe.sources import Sources
from loupe.sources.s3 import S3Rules
from loupe.sources.url import Url, UrlRules
from loupe.stages import Stages
from tinymodel import graph, write_model


@pytest.mark.parametrize("event", [rest, http])
def test_order_is_kept_and_failures_stay_where_they_are(classifier, event) -> None:
    app = make_app(classifier, pages={"https://a": jpeg(solid(BLUE)), "https://b": UrlUnreachable("No.")})
    items = [RED_ITEM, {"url": "https://b"}, BLUE_ITEM, {"image": "!"}, {"url": "https://a"}, 7, RED_ITEM,
             {"image": base64_of(jpeg()[:300])}, {"image": base64_of(b"%PDF")}]  # fmt: skip
    assert send(app, items, event) == ["red", "url_unreachable", "blue", "request_invalid", "blue", "request_invalid",
                                       "red", "image_undecodable", "unsupported_media_type"]  # fmt: skip


def test_direct_invocation_accepts_a_batch(classifier) -> None:
    answer = make_app(classifier).direct({"items": [RED_ITEM, {}], "top": 1}, Context())
    assert list(answer["results"][0]["result"]["scores"]) == ["red"]
    assert answer["results"][1]["error"]["code"] == "request_invalid"


def test_the_same_numbers_as_one_by_one(classifier) -> None:
    app = make_app(classifier)
    files = [jpeg(scene((30 + i, 40)), exif=exif(i % 8 + 1)) for i in range(20)]
    one_by_one = [body_of(app.http(rest(body=data), Context()))["scores"] for data in files]
    answer = app.http(
        rest(path="/v1/classify/batch", **json_body({"items": [{"image": base64_of(data)} for data in files]})),
        Context(),
    )
    for result, alone in zip(body_of(answer)["results"], one_by_one, strict=True):
        assert result["result"]["scores"] == pytest.approx(alone, abs=2e-6)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from("rbx"), min_size=1, max_size=32))
def test_mixed_batches_keep_the_order_of_items(classifier, kinds) -> None:
    kind = {"r": (RED_ITEM, "red"), "b": (BLUE_ITEM, "blue"), "x": ({"image": "!"}, "request_invalid")}
    assert send(make_app(classifier), [kind[letter][0] for letter in kinds]) == [kind[letter][1] for letter in kinds]


def test_whole_batch_can_be_rejected(classifier) -> None:
    app = make_app(classifier, max_batch=2)
    for value, status in (({"items": []}, 400), ({"items": [RED_ITEM] * 3}, 413), ({"items": RED_ITEM}, 400)):
        assert app.http(rest(path="/v1/classify/batch", **json_body(value)), Context())["statusCode"] == status
    assert app.http(rest(path="/v1/classify/batch"), Context())["statusCode"] == 400


def test_sources_are_fetched_in_parallel(classifier) -> None:
    inside, most, all_there = [0], [0], threading.Barrier(4)

    class Meeting:
        def read(self, source, **_):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            all_there.wait(20)  # ends only if four are here at once
            inside[0] -= 1
            return jpeg(solid(RED))

    assert send(make_app(classifier, sources=Meeting()), [{"url": f"https://{i}"} for i in range(4)]) == ["red"] * 4
    assert most[0] <= WORKERS


def test_items_not_processed_before_the_deadline_are_deadline_exceeded(classifier) -> None:
    gate = threading.Event()
    app = make_app(classifier, pages={"https://slow": jpeg(solid(RED))}, gate=gate)
    started = time.monotonic()
    try:
        items = [RED_ITEM, {"url": "https://slow"}, BLUE_ITEM]
        assert send(app, items, context=Context(remaining_ms=1500)) == ["red", "deadline_exceeded", "blue"]
        assert time.monotonic() - started < 1.4
    finally:
        gate.set()


def test_batch_without_time_returns_deadline_exceeded(classifier) -> None:
    answers = send(make_app(classifier), [RED_ITEM, {"image": "!"}], context=Context(remaining_ms=900))
    assert answers == ["deadline_exceeded", "request_invalid"]


def test_batch_with_a_slow_model_ends_by_its_deadline(tiny_directory) -> None:
    classifier = Classifier.load(tiny_directory)
    run, sizes = classifier.model.run, []

    def slow(batch):
        sizes.append(len(batch))
        threading.Event().wait(0.05 * len(batch))
        return run(batch)

    classifier.model.run = slow  # type: ignore[method-assign]
    started = time.monotonic()
    answers = send(make_app(classifier), [RED_ITEM] * 32, context=Context(remaining_ms=1700))
    assert time.monotonic() - started < 1.2
    assert set(answers) == {"red", "deadline_exceeded"}
    assert 4 <= answers.count("red") <= 14
    assert sizes[0] == 1


def test_the_model_runs_in_batches(tiny_directory) -> None:
    classifier = Classifier.load(tiny_directory)
    run, sizes = classifier.model.run, []
    classifier.model.run = lambda batch: sizes.append(len(batch)) or run(batch)  # type: ignore[method-assign]
    send(make_app(classifier), [RED_ITEM] * 32)
    assert sum(sizes) == 32
    assert max(sizes) == MODEL_BATCH
    assert len(sizes) <= 6


def test_image_for_which_the_model_fails_fails_no_other(tiny_directory) -> None:
    classifier = Classifier.load(tiny_directory)
    run = classifier.model.run

    def fails_on_blue(batch):
        if (batch[:, 2].mean(axis=(1, 2)) > 0.9).any():
            raise ModelFailed("The model's output for this image is not a number.")
        return run(batch)

    classifier.model.run = fails_on_blue  # type: ignore[method-assign]
    items = [RED_ITEM] * 5 + [BLUE_ITEM] + [RED_ITEM] * 5
    assert send(make_app(classifier), items) == ["red"] * 5 + ["model_failed"] + ["red"] * 5


def test_unexpected_exception_is_the_500_of_one_item_and_is_logged(classifier, capsys) -> None:
    app = make_app(classifier, sources=Broken(ZeroDivisionError("secret")))
    answer = app.http(rest(path="/v1/classify/batch", **json_body({"items": [{"url": "https://a"}]})), Context())
    assert body_of(answer)["results"][0]["error"]["code"] == "internal_error"
    assert "secret" not in answer["body"]
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert "ZeroDivisionError: secret" in line["exception"]


def test_results_over_the_response_limit_are_result_too_large(classifier, monkeypatch) -> None:
    monkeypatch.setattr(batch_response, "MAX_RESULTS_BYTES", 160)
    assert send(make_app(classifier), [RED_ITEM] * 3) == ["red", "red", "result_too_large"]


def test_the_gateways_limit_counts_where_the_function_has_more_time(classifier, monkeypatch) -> None:
    monkeypatch.setattr(app_module, "_GATEWAY_SECONDS", 1.4)
    gate = threading.Event()
    try:
        app = make_app(classifier, pages={"https://slow": b""}, gate=gate)
        assert send(app, [{"url": "https://slow"}], context=Context(remaining_ms=600_000)) == ["deadline_exceeded"]
    finally:
        gate.set()


def test_model_with_a_fixed_batch_size(tmp_path) -> None:
    classifier = Classifier.load(write_model(tmp_path / "fixed", graph((1, 3, 20, 20))))
    assert send(make_app(classifier), [RED_ITEM, BLUE_ITEM] * 5) == ["red", "blue"] * 5


def test_outcomes_are_predictions(classifier) -> None:
    stages = Stages()
    sources = Sources.of(UrlRules(), S3Rules(), classifier.limits)
    images = [jpeg(solid(RED)), partial(sources.read, Url("file:///x"))]
    outcomes, _ = Service(classifier).classify_many(images, deadline=time.monotonic() + 10, stages=stages)
    assert isinstance(outcomes[0], Prediction)
    assert outcomes[1].code == "url_not_allowed"
    assert set(stages.milliseconds) == {"source", "decode", "tensor", "model"}
    assert np.isfinite(outcomes[0].probability)


@pytest.mark.parametrize("error", [RuntimeError("secret"), MemoryError(), ValueError("shape")])
def test_an_unexpected_error_of_the_model_is_one_items_500(tiny_directory, capsys, error) -> None:
    classifier = Classifier.load(tiny_directory)
    run = classifier.model.run

    def breaks_on_blue(batch):
        if (batch[:, 2].mean(axis=(1, 2)) > 0.9).any():
            raise error
        return run(batch)

    classifier.model.run = breaks_on_blue  # type: ignore[method-assign]
    answers = send(make_app(classifier), [RED_ITEM] * 9 + [BLUE_ITEM] + [RED_ITEM] * 9)
    assert answers == ["red"] * 9 + ["internal_error"] + ["red"] * 9
    assert type(error).__name__ in capsys.readouterr().out


def test_nothing_is_decoded_after_the_deadline(tiny_directory) -> None:
    classifier = Classifier.load(tiny_directory)
    gate, decoded, prepare = threading.Event(), [], classifier.prepare
    classifier.prepare = lambda *arguments: decoded.append(1) or prepare(*arguments)  # type: ignore[method-assign]
    app = make_app(classifier, pages={"https://slow": jpeg(solid(RED))}, gate=gate)
    assert send(app, [{"url": "https://slow"}] * 3, context=Context(remaining_ms=1200)) == ["deadline_exceeded"] * 3
    gate.set()
    for thread in threading.enumerate():
        if thread.name.startswith("loupe-batch"):
            thread.join(20)
    assert decoded == []


def test_sources_get_no_more_time_than_the_batch_has(classifier) -> None:
    given_seconds = []

    class Watched:
        def read(self, source, *, seconds, hosts):
            given_seconds.append(seconds)
            raise UrlUnreachable("The URL did not give the whole image within 0.3 s.")

    send(make_app(classifier, sources=Watched()), [{"url": "https://a"}] * 3, context=Context(remaining_ms=1500))
    assert len(given_seconds) == 3
    assert all(0 < seconds <= 0.5 for seconds in given_seconds)


def test_a_source_that_the_deadline_cut_off_is_not_blamed(classifier) -> None:
    class CutOff:
        def read(self, source, *, seconds, hosts):
            threading.Event().wait(seconds)
            raise UrlUnreachable("The URL did not give the whole image within 0.2 s.")

    answers = send(make_app(classifier, sources=CutOff()), [{"url": "https://a"}], context=Context(remaining_ms=1200))
    assert answers == ["deadline_exceeded"]


@pytest.mark.parametrize("where", ["source", "decoder"])
def test_only_a_running_decoder_causes_a_restart(tiny_directory, monkeypatch, capsys, where) -> None:
    classifier, gate, restarts = Classifier.load(tiny_directory), threading.Event(), []
    monkeypatch.setattr(restart, "after_response", lambda: restarts.append(1))
    app = make_app(classifier, pages={"https://a": jpeg(solid(RED))}, gate=gate if where == "source" else None)
    if where == "decoder":
        classifier.prepare = lambda *_: gate.wait(20)  # type: ignore[method-assign]
    try:
        answers = send(app, [{"url": "https://a"}] * 2, context=Context(remaining_ms=1200))
    finally:
        gate.set()
    assert answers == ["deadline_exceeded"] * 2
    line = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (restarts, line.get("left_running")) == (([1], 2) if where == "decoder" else ([], None))


@pytest.mark.parametrize(("restart_seconds", "remaining_ms", "most"), [(0.3, 2000, 0.7), (60.0, 2000, 0.5)])
def test_the_deadline_leaves_time_for_a_restart(classifier, restart_seconds, remaining_ms, most) -> None:
    """But at most a quarter of the remaining time of the invocation."""
    given_seconds = []

    class Watched:
        def read(self, source, *, seconds, hosts):
            given_seconds.append(seconds)
            return jpeg(solid(RED))

    app = make_app(classifier, sources=Watched(), restart_seconds=restart_seconds)
    send(app, [{"url": "https://a"}], context=Context(remaining_ms=remaining_ms))
    assert most - 0.3 < given_seconds[0] <= most


def many_labels(directory, count):
    labels = [f"label-{number}" for number in range(count)]
    return Classifier.load(write_model(directory, graph(outputs=count), output={"kind": "logits", "labels": labels}))


@pytest.mark.parametrize(("top", "count"), [(3, 3), (None, 1000)])
def test_batch_keeps_only_the_scores_of_its_response(tmp_path, top, count) -> None:
    classifier = many_labels(tmp_path / "many", 1000)
    outcomes, _ = Service(classifier).classify_many(
        [jpeg(solid(RED))] * 5, deadline=time.monotonic() + 60, keep=batch_response.ScoreBudget(top)
    )
    assert [len(outcome.scores) for outcome in outcomes] == [count] * 5


def test_scores_over_the_response_limit_are_not_kept(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(batch_response, "MAX_SCORES", 3500)
    app = make_app(many_labels(tmp_path / "many", 1000))
    codes = send(app, [RED_ITEM] * 5, scores="all")
    assert [code.startswith("label-") for code in codes] == [True] * 3 + [False] * 2
    assert codes[3:] == ["result_too_large"] * 2


def test_only_decoders_that_still_run_are_counted(tiny_directory, monkeypatch, capsys) -> None:
    classifier, gate = Classifier.load(tiny_directory), threading.Event()
    prepare, blue = classifier.prepare, jpeg(solid(BLUE))

    def slow_for_blue(data, stages):
        if data == blue:
            gate.wait(20)
        return prepare(data, stages)

    monkeypatch.setattr(restart, "after_response", lambda: None)
    monkeypatch.setattr(classifier, "prepare", slow_for_blue)
    app = make_app(classifier, pages={"https://red": jpeg(solid(RED)), "https://blue": blue})
    try:
        answers = send(app, [{"url": "https://red"}, {"url": "https://blue"}], context=Context(remaining_ms=1500))
    finally:
        gate.set()
    assert answers == ["red", "deadline_exceeded"]
    assert json.loads(capsys.readouterr().out.splitlines()[0])["left_running"] == 1
