"""The prediction cache: what it holds, within which memory, and what callers and operators notice of it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import pytest
from events import Context, base64_of, rest
from images import BLUE, RED, jpeg, solid
from loupe import cache as cache_module
from loupe.cache import CachedService, PredictionCache, card_digest, entry_bytes
from loupe.card import load_card
from loupe.classifier import Classifier
from loupe.errors import DeadlineExceeded, ImageUndecodable, ResultTooLarge, UrlUnreachable
from loupe.http.app import App
from loupe.prediction import ModelInfo, Prediction
from loupe.service import Service
from loupe.settings import MetricsRules
from loupe.sources.s3 import S3Rules
from loupe.stages import Stages
from loupe.telemetry import Telemetry
from tinymodel import write_model

ROOT = Path(__file__).resolve().parents[2]
RED_IMAGE, BLUE_IMAGE = jpeg(solid(RED)), jpeg(solid(BLUE))
BROKEN_IMAGE = RED_IMAGE[:300]
MIB = 1024 * 1024


class Counting:
    """A classifier that counts the images that its model runs, and that fails on request."""

    def __init__(self, directory):
        self.classifier = Classifier.load(directory)
        self.runs, self.error, run = 0, None, self.classifier.model.run

        def counted(batch):
            self.runs += len(batch)
            if self.error is not None:
                raise self.error
            return run(batch)

        self.classifier.model.run = counted


@pytest.fixture
def model(tiny_directory):
    return Counting(tiny_directory)


@pytest.fixture
def held():
    return PredictionCache(MIB)


@pytest.fixture
def service(model, held):
    return CachedService(Service(model.classifier), held)


def reader(data):
    def read(*, seconds):
        if isinstance(data, Exception):
            raise data
        return data

    return read


def soon(seconds=20.0):
    return time.monotonic() + seconds


def labels(outcomes):
    return [getattr(outcome, "label", None) or outcome.code for outcome in outcomes]


@pytest.mark.parametrize("again", [RED_IMAGE, reader(RED_IMAGE)], ids=["bytes", "reader"])
def test_a_repeated_image_is_a_hit(service, model, again) -> None:
    stages = Stages()
    first, second = service.classify(RED_IMAGE), service.classify(again, stages=stages)
    assert (first.cache, second.cache, model.runs) == ("miss", "hit", 1)
    assert second == first._replace(cache="hit")
    assert "cache" in stages.milliseconds
    assert stages.milliseconds.keys() & {"decode", "tensor", "model"} == set()


def test_one_changed_byte_is_another_image(service, model) -> None:
    service.classify(RED_IMAGE)
    assert service.classify(RED_IMAGE + b"\0").cache == "miss"
    assert model.runs == 2


def test_a_hit_needs_no_time_and_a_miss_does(service, model) -> None:
    service.classify(RED_IMAGE)
    assert service.classify(RED_IMAGE, deadline=soon(-1)).cache == "hit"
    with pytest.raises(DeadlineExceeded):
        service.classify(BLUE_IMAGE, deadline=soon(-1))


def test_problems_are_not_cached(service, model, held) -> None:
    for _ in range(2):
        with pytest.raises(ImageUndecodable):
            service.classify(BROKEN_IMAGE)
    model.error = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        service.classify(RED_IMAGE)
    assert service.classify_many([RED_IMAGE, BROKEN_IMAGE], deadline=soon()).outcomes[0].code == "internal_error"
    assert len(held) == 0
    model.error = None
    assert service.classify(RED_IMAGE).cache == "miss"


def test_models_with_one_cache_do_not_share_entries(model, held, tmp_path) -> None:
    """Not even under one name and version."""
    changed = Classifier.load(write_model(tmp_path / "tiny", variant="fp32", description="Another description"))
    first, second = (CachedService(Service(item), held) for item in (model.classifier, changed))
    first.classify(RED_IMAGE)
    assert second.classify(RED_IMAGE).cache == "miss"
    assert first.classify(RED_IMAGE).cache == second.classify(RED_IMAGE).cache == "hit"


def test_the_digest_of_a_card_covers_files_preprocessing_and_labels() -> None:
    card = load_card(ROOT / "models" / "hair-type")

    def changed(change):
        raw = json.loads(json.dumps(card.raw))
        change(raw)
        return card_digest(card._replace(raw=raw))

    digests = {
        card_digest(card),
        changed(lambda raw: raw["files"][0].update(sha256="0" * 64)),
        changed(lambda raw: raw["input"].update(width=201)),
        changed(lambda raw: raw["output"]["labels"].reverse()),
        changed(lambda raw: raw.update(version="9.9.9")),
    }
    assert len(digests) == 5
    assert card_digest(card) == card_digest(load_card(ROOT / "models" / "hair-type"))


def prediction(count, assigned=None):
    scores = tuple((f"label-{index}", 1 / (index + 2)) for index in range(count))
    return Prediction(scores[0][0], scores[0][1], scores, assigned, ModelInfo("m", "1", "v", count))


def test_the_least_recently_used_entry_is_evicted_first() -> None:
    cache = PredictionCache(3 * entry_bytes(prediction(2)))
    for key in (b"a", b"b", b"c"):
        cache.put(key, prediction(2))
    cache.get(b"a")
    cache.put(b"c", prediction(2))  # again, which takes no more room
    cache.put(b"d", prediction(2))
    assert [key for key in (b"a", b"b", b"c", b"d") if cache.get(key)] == [b"a", b"c", b"d"]


def test_a_prediction_larger_than_the_cache_evicts_nothing() -> None:
    cache = PredictionCache(entry_bytes(prediction(2)))
    cache.put(b"a", prediction(2))
    cache.put(b"b", prediction(1000))
    assert cache.get(b"a") is not None
    assert cache.get(b"b") is None


@pytest.mark.parametrize(("count", "assigned"), [(2, None), (2, ("label-0",)), (20, None), (1000, None)])
def test_entries_stay_within_the_bytes_that_they_are_counted_as(count, assigned) -> None:
    """Measured by what Python allocates; the texts of labels belong to the card."""
    scores = prediction(count).scores
    cache = PredictionCache(4 * MIB)
    tracemalloc.start()
    try:
        before, index = tracemalloc.get_traced_memory()[0], 0
        while not (full := len(cache) < index):
            # New floats, pairs and tuples, as of a new image.
            values = tuple((label, value * 0.999) for label, value in scores)
            key = index.to_bytes(32, "big")
            cache.put(
                key, Prediction(values[0][0], values[0][1], values, assigned and tuple(assigned), ModelInfo(*"abc", 2))
            )
            index += 1
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert full
    assert 0.4 * cache.max_bytes < used <= cache.max_bytes


def test_identical_images_of_a_batch_are_computed_once(service, model) -> None:
    images = [RED_IMAGE, BLUE_IMAGE, reader(RED_IMAGE), RED_IMAGE, BROKEN_IMAGE, reader(BROKEN_IMAGE)]
    outcomes, unfinished_decoders = service.classify_many(images, deadline=soon())
    assert labels(outcomes) == ["red", "blue", "red", "red", "image_undecodable", "image_undecodable"]
    assert unfinished_decoders == 0
    assert model.runs == 2
    # Readers run at once, so any of the three may be the first.
    assert sorted(outcomes[index].cache for index in (0, 2, 3)) == ["hit", "hit", "miss"]
    again = service.classify_many(images, deadline=soon()).outcomes
    assert [outcome.cache for outcome in again[:4]] == ["hit"] * 4
    assert model.runs == 2


def test_a_repeated_image_of_a_batch_is_not_decoded(service, model, monkeypatch) -> None:
    decoded, prepare = [], model.classifier.prepare

    def recorded(data, stages):
        decoded.append(data)
        return prepare(data, stages)

    monkeypatch.setattr(model.classifier, "prepare", recorded)
    service.classify_many([RED_IMAGE, reader(RED_IMAGE), BLUE_IMAGE], deadline=soon())
    assert sorted(decoded) == sorted([RED_IMAGE, BLUE_IMAGE])


def test_problems_of_readers_are_their_own(service) -> None:
    problem = UrlUnreachable("No.")
    images = [reader(problem), problem, reader(service.classify(RED_IMAGE)), RED_IMAGE]
    outcomes, _ = service.classify_many(images, deadline=soon())
    assert labels(outcomes) == ["url_unreachable", "url_unreachable", "red", "red"]


def test_keep_is_called_for_each_image_and_decides_what_is_returned(service, held) -> None:
    calls = []

    def keep(index, prediction):
        calls.append(index)
        return prediction._replace(scores=prediction.scores[:1]) if len(calls) < 3 else ResultTooLarge("Too large.")

    outcomes, _ = service.classify_many([RED_IMAGE, RED_IMAGE, RED_IMAGE], deadline=soon(), keep=keep)
    assert sorted(calls) == [0, 1, 2]
    assert sorted(labels(outcomes)) == ["red", "red", "result_too_large"]
    # What is cached is whole.
    assert len(service.classify(RED_IMAGE).scores) == 2


def test_repeats_of_an_image_that_was_not_processed_in_time_are_not_either(model, held) -> None:
    running, late = threading.Event(), threading.Event()

    def run(batch):
        running.set()
        late.wait(20)
        return [[0.0]] * len(batch)

    def second(*, seconds):
        running.wait(20)
        return RED_IMAGE

    model.classifier.model.run = run
    service = CachedService(Service(model.classifier), held)
    timer = threading.Timer(0.6, late.set)
    timer.start()
    outcomes, _ = service.classify_many([BLUE_IMAGE, second, second], deadline=soon(0.2))
    timer.join()
    assert labels(outcomes)[1:] == ["deadline_exceeded"] * 2


@pytest.fixture
def app(model, held):
    telemetry = Telemetry("test", "INFO", MetricsRules(), "on-demand")
    return App(CachedService(Service(model.classifier), held), None, telemetry, s3_rules=S3Rules())


def test_one_cache_serves_every_caller(app, model) -> None:
    first = json.loads(app.http(rest(body=RED_IMAGE), Context())["body"])
    second = app.direct({"image": base64_of(RED_IMAGE)}, Context())
    items = [{"image": base64_of(image)} for image in (RED_IMAGE, BLUE_IMAGE)]
    batch = app.direct({"items": items, "top": 1}, Context())
    again = app.direct({"items": items}, Context())
    assert model.runs == 2
    assert first["scores"] == second["scores"] == again["results"][0]["result"]["scores"]
    assert [list(item["result"]["scores"]) for item in batch["results"]] == [["red"], ["blue"]]


def test_x_cache_is_hit_if_all_predictions_are_cached(app, classifier) -> None:
    def header(application, body, path="/v1/classify"):
        content_type = "application/json" if path.endswith("batch") else "image/jpeg"
        return application.http(rest(path=path, body=body, headers={"Content-Type": content_type}), Context())[
            "headers"
        ].get("X-Cache")

    def batch(*images):
        return json.dumps({"items": [{"image": base64_of(image)} for image in images]})

    assert [header(app, RED_IMAGE) for _ in range(2)] == ["miss", "hit"]
    assert header(app, batch(RED_IMAGE, BLUE_IMAGE), "/v1/classify/batch") == "miss"
    assert header(app, batch(RED_IMAGE, BLUE_IMAGE), "/v1/classify/batch") == "hit"
    assert header(app, BROKEN_IMAGE) is None
    telemetry = Telemetry("test", "INFO", MetricsRules(), "on-demand")
    without = App(Service(classifier), None, telemetry, s3_rules=S3Rules())
    assert header(without, RED_IMAGE) == "off"


def test_hits_and_misses_are_logged_and_measured(app, classifier, capsys) -> None:
    def records(application, payload):
        capsys.readouterr()
        application.direct(payload, Context())
        line, *blobs = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
        values = {name: value for blob in blobs for name, value in blob.items() if name.startswith("Cache")}
        return line, values

    one = {"image": base64_of(RED_IMAGE)}
    line, values = records(app, one)
    assert (line["cache"], values) == ("miss", {"CacheHits": [0.0], "CacheMisses": [1.0]})
    line, values = records(app, one)
    assert (line["cache"], values) == ("hit", {"CacheHits": [1.0], "CacheMisses": [0.0]})
    line, values = records(app, {"items": [one, {"image": base64_of(BLUE_IMAGE)}, one]})
    assert (line["cache"], line["item_cache_hits"]) == ("miss", 2)
    assert values == {"CacheHits": [2.0], "CacheMisses": [1.0]}
    telemetry = Telemetry("test", "INFO", MetricsRules(), "on-demand")
    line, values = records(App(Service(classifier), None, telemetry, s3_rules=S3Rules()), one)
    assert "cache" not in line
    assert values == {}


def test_threads_share_a_cache(service, model) -> None:
    images = [RED_IMAGE + index.to_bytes(2, "big") for index in range(20)]
    wrong = []

    def classify():
        wrong.extend(image for image in images if service.classify(image).label != "red")

    threads = [threading.Thread(target=classify) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert all(service.classify(image).cache == "hit" for image in images)


def test_the_handler_loads_the_cache_only_where_it_is_set(tiny_directory) -> None:
    code = (
        "import json, sys, types; sys.path.insert(0, sys.argv[1]); import handler\n"
        "context = types.SimpleNamespace(aws_request_id='r', get_remaining_time_in_millis=lambda: 9000)\n"
        "for _ in range(2): handler.handler({'image': sys.argv[2]}, context)\n"
        "print(json.dumps([name in sys.modules for name in ('loupe.cache', 'hashlib')]))"
    )

    def run(**variables):
        places = {"LOUPE_MODELS_DIR": str(tiny_directory.parent), "LOUPE_MODEL": tiny_directory.name}
        command = [sys.executable, "-c", code, str(ROOT / "function"), base64_of(RED_IMAGE)]
        output = subprocess.run(command, env=places | variables, capture_output=True, text=True, check=True, timeout=60)
        *lines, loaded = output.stdout.splitlines()
        return [json.loads(line).get("cache") for line in lines if "_aws" not in line], json.loads(loaded)

    assert run() == ([None, None], [False, False])
    assert run(LOUPE_CACHE_MIB="1") == (["miss", "hit"], [True, True])


def test_the_size_of_an_entry_is_documented() -> None:
    """docs/caching.md says how many entries fit; of two labels."""
    text = (ROOT / "docs" / "caching.md").read_text(encoding="utf-8")
    per_mib = MIB // entry_bytes(prediction(2))
    assert f"{per_mib:,} predictions" in text
    assert cache_module.SCORE_BYTES == 112
