"""All arms of a log: which lines count, each request once, and what cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from modelkit.traffic import records
from modelkit.traffic.arms import Arm, count
from modelkit.traffic.inference import Share
from modelkit.traffic.labels import SEPARATOR
from modelkit.traffic.metric_lines import Metrics
from modelkit.traffic.records import Request, Shadow
from modelkit.traffic.sketch import QuantileSketch
from modelkit.traffic.values import BadLineError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from modelkit.traffic.labels import Truth
    from modelkit.traffic.sources import Event

MAX_ARMS, MAX_EXPERIMENTS = 50, 20
# Request ids that are remembered, in two halves of which the older is forgotten: about 70 MB at most.
REMEMBERED = 1_000_000
_PLACES = 5
# Group of arms by model; experiments have their name with this before it.
BY_MODEL, _EXPERIMENT = "model", "experiment:"


class Window(NamedTuple):
    """Times that count, in seconds since 1970; None for no bound. The end is not part of it."""

    start: float | None = None
    end: float | None = None

    def has(self, time: float | None) -> bool:
        """Whether a time is within it; a line without a time is, unless there is a bound."""
        if time is None:
            return self.start is None and self.end is None
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)


class ShadowTest:
    """Comparisons of one challenger with one champion.

    Attributes
    ----------
    champion, challenger
        Milliseconds of the models' runs.
    """

    def __init__(self) -> None:
        self.agreed = self.compared = 0
        self.difference, self.champion, self.challenger = QuantileSketch(), QuantileSketch(), QuantileSketch()
        self.difference_sum = 0.0

    @property
    def agreement(self) -> Share:
        """Images with the same label from both."""
        return Share(self.agreed, self.compared)


class RecentIds:
    """Remembers the latest request ids, by 64 bits of each.

    That one of 100 million requests is taken for a repetition by chance happens in less than one log of 100,000.
    """

    def __init__(self, most: int = REMEMBERED) -> None:
        self._half = max(1, most // 2)
        self._newer: set[int] = set()
        self._older: set[int] = set()

    def is_new(self, request_id: str) -> bool:
        """Whether an id is not among those remembered; it is from now on."""
        digest = hash(request_id)
        if digest in self._newer or digest in self._older:
            return False
        if len(self._newer) >= self._half:
            self._older, self._newer = self._newer, set()
        self._newer.add(digest)
        return True


class Traffic:
    """Adds up a log.

    Parameters
    ----------
    truths
        Labels by request id; each is used once.
    window
        Times that count; all without one.
    metrics
        Whether metrics are added up in place of request lines. Metrics have no request ids.
    remembered
        Request ids by which repeated lines are found.

    Attributes
    ----------
    groups
        Arms by name, for each experiment and by model.
    damage
        Lines that could not be read, by kind; ``places`` has the first places of each.
    answers
        Of images that labels name: what each arm answered, by group.
    """

    def __init__(
        self,
        truths: Mapping[str, Truth] | None = None,
        window: Window | None = None,
        *,
        metrics: bool = False,
        remembered: int = REMEMBERED,
    ) -> None:
        self._truths, self._window, self._metrics = dict(truths or {}), window or Window(), metrics
        self._ids = RecentIds(remembered)
        self.remembered = remembered
        self.lines = self.other_lines = self.duplicates = self.outside = self.overrides = self.without_arm = 0
        self.requests = self.labelled_batches = 0
        self.damage: Counter[str] = Counter()
        self.places: dict[str, list[str]] = {}
        self.groups: dict[str, dict[str, Arm]] = {}
        self.answers: dict[str, dict[str, dict[str, str]]] = {}
        self.shadow: dict[tuple[str, str], ShadowTest] = {}
        self.shadow_failures: Counter[tuple[str, str]] = Counter()
        self.left_out: set[str] = set()

    @property
    def experiments(self) -> list[str]:
        """Names of the experiments in the log."""
        return [name.removeprefix(_EXPERIMENT) for name in self.groups if name.startswith(_EXPERIMENT)]

    @property
    def unmatched(self) -> int:
        """Labels whose request was not in the log."""
        return len(self._truths)

    def arms(self, experiment: str | None) -> dict[str, Arm]:
        """Return the arms of an experiment; those by model without one."""
        return self.groups.get(_group(experiment), {})

    def answers_of(self, experiment: str | None) -> Iterable[Mapping[str, str]]:
        """Return what each arm answered, for each image that labels name."""
        return self.answers.get(_group(experiment), {}).values()

    def report(self, kind: str, place: str) -> None:
        """Count damage."""
        count(self.damage, kind)
        if len(places := self.places.setdefault(kind, [])) < _PLACES:
            places.append(place)

    def add(self, events: Iterable[Event]) -> None:
        """Add log events, in any order."""
        for event in events:
            self.lines += 1
            content = event.content
            try:
                parsed = records.read(content) if isinstance(content, Mapping) else records.parse(content)
            except BadLineError as error:
                self.report(str(error), event.place)
                continue
            if not parsed:
                self.other_lines += 1
            for record in parsed:
                if not self._window.has(record.time):
                    self.outside += 1
                elif isinstance(record, Shadow):
                    self._add_shadow(record)
                elif isinstance(record, Metrics):
                    if self._metrics:
                        self._add_metrics(record)
                elif not self._metrics:
                    self._add_request(record)

    def _add_request(self, request: Request) -> None:
        if not self._ids.is_new(request.id):
            self.duplicates += 1
            return
        self.requests += 1
        truth = self._truths.pop(request.id, None)
        if truth is not None and request.items:
            # The line of a batch does not say which image got which label.
            self.labelled_batches += 1
            truth = None
        self._add_to(BY_MODEL, request.model.text, request, truth)
        if not request.experiment:
            self.without_arm += 1
        elif request.arm_by == "override":
            self.overrides += 1
        else:
            self._add_to(_group(request.experiment), request.arm, request, truth)

    def _add_to(self, group: str, name: str, request: Request, truth: Truth | None) -> None:
        if (arm := self._arm(group, name)) is None:
            return
        arm.add(request)
        if truth is None:
            return
        arm.add_truth(request, truth)
        if truth.image and request.label is not None:
            answer = request.label if request.labels is None else SEPARATOR.join(sorted(request.labels))
            # The first answer of each arm to an image.
            self.answers.setdefault(group, {}).setdefault(truth.image, {}).setdefault(name, answer)

    def _add_metrics(self, metrics: Metrics) -> None:
        names = metrics.dimensions
        further = names.keys() - {"Environment", "Code", "Label"}
        if further == {"Model"}:
            group, name = BY_MODEL, names["Model"]
        elif further == {"Experiment", "Arm"}:
            group, name = _group(names["Experiment"]), names["Arm"]
        else:
            # The same values once more by version, or those of another component.
            return
        if (arm := self._arm(group, name)) is not None:
            arm.add_metrics(metrics)
            self.requests += len(metrics.values.get("Requests", ())) if group == BY_MODEL else 0

    def _add_shadow(self, shadow: Shadow) -> None:
        if shadow.agrees is None:
            if len(self.shadow_failures) < MAX_ARMS:
                self.shadow_failures[shadow.challenger, shadow.code] += 1
            return
        key = (shadow.champion, shadow.challenger)
        if key not in self.shadow and len(self.shadow) >= MAX_ARMS:
            self.left_out.add("shadow tests")
            return
        test = self.shadow.setdefault(key, ShadowTest())
        test.compared += 1
        test.agreed += shadow.agrees
        test.difference.add(shadow.difference or 0.0)
        test.difference_sum += shadow.difference or 0.0
        if shadow.champion_ms is not None:
            test.champion.add(shadow.champion_ms)
        if shadow.challenger_ms is not None:
            test.challenger.add(shadow.challenger_ms)

    def _arm(self, group: str, name: str) -> Arm | None:
        """Return an arm of a group; None above the number of arms or experiments that are added up."""
        if group not in self.groups and len(self.groups) > MAX_EXPERIMENTS:
            self.left_out.add("experiments")
            return None
        arms = self.groups.setdefault(group, {})
        if name not in arms:
            if len(arms) >= MAX_ARMS:
                self.left_out.add("arms")
                return None
            arms[name] = Arm(name)
        return arms[name]


def _group(experiment: str | None) -> str:
    return BY_MODEL if experiment is None else f"{_EXPERIMENT}{experiment}"
