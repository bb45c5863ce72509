"""What is known of a data set, and what was found in it."""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np


@dataclass
class DataSet:
    """What is known of a data set before reading it.

    Attributes:
        name: Name, written as ``version``.
        subsets: Our subset by the source's spelling; empty: any, verbatim.
        seconds_per_snippet: Seconds from one feature row to the next.
        channels: D; None: whatever the features agree on.
        num_classes: Number of classes; None: any.
        expected: By subset, the published (videos, instances); several
            where published lists differ, ``None`` where unknown.
        exact: Whether other counts are damage (``--check``).
        oddities: By video, what is known to be odd about it.
    """
    name: str
    subsets: dict[str, str] = field(default_factory=dict)
    seconds_per_snippet: float = 16 / 25
    channels: int | None = 2048
    num_classes: int | None = None
    expected: dict[str, list[tuple[int,
                                   int | None]]] = field(default_factory=dict)
    exact: bool = False
    oddities: dict[str, str] = field(default_factory=dict)


class Report:
    """Collects findings: what, in which video, what was done about it."""

    def __init__(self) -> None:
        self.findings: dict[str, dict] = {}
        self.counts: dict[str, dict] = {}
        self.left_out: Counter[str] = Counter()

    def leave_out(self, database: dict[str, dict], name: str) -> None:
        """Removes a video, counting it by subset."""
        self.left_out[database.pop(name).get('subset', '')] += 1

    def add(self,
            kind: str,
            name: str,
            detail: str = '',
            action: str = '',
            damage: bool = False) -> None:
        """Adds a finding.

        Args:
            kind: What it is; one action per kind.
            name: Video or file.
            detail: Numbers of this case.
            action: What was done.
            damage: Whether the exit status must tell of it.
        """
        found = self.findings.setdefault(
            kind, dict(action=action, damage=damage, videos={}))
        found['videos'][name] = detail

    @property
    def damaged(self) -> bool:
        """Whether any finding is damage."""
        return any(found['damage'] for found in self.findings.values())

    def count(self, database: dict[str, dict], dataset: DataSet) -> None:
        """Counts videos, instances and classes, and compares them."""
        for record in database.values():
            counts = self.counts.setdefault(record['subset'],
                                            dict(videos=0, instances=0))
            counts['videos'] += 1
            counts['instances'] += len(record.get('annotations', []))
        for subset, published in dataset.expected.items():
            counts = self.counts.setdefault(subset,
                                            dict(videos=0, instances=0))
            counts['expected'] = ' or '.join(
                f'{videos} videos' +
                (f', {instances} instances' if instances else '')
                for videos, instances in published)
            if not any(counts['videos'] == videos and instances in
                       (None, counts['instances'])
                       for videos, instances in published):
                lacking = published[0][0] - counts['videos']
                left_out = self.left_out[subset]
                self.add(
                    'counts other than published',
                    subset,
                    f'{counts["videos"]} videos, {counts["instances"]} '
                    f'instances, expected {counts["expected"]}; of '
                    f'{lacking} videos lacking {left_out} were left out here '
                    f'(named in this report), {lacking - left_out} are not '
                    'in the annotation file',
                    damage=dataset.exact)

    def show(self, names: int | None = 10) -> None:
        """Prints the report.

        Args:
            names: At most so many videos of a kind; damage is always
                printed in full.
        """
        for subset, counts in sorted(self.counts.items()):
            expected = counts.get('expected')
            print(f'{subset}: {counts["videos"]} videos, '
                  f'{counts["instances"]} instances' +
                  (f' (published: {expected})' if expected else ''))
        for kind, found in self.findings.items():
            videos = list(found['videos'].items())
            print(f'{"DAMAGE: " if found["damage"] else ""}{kind} '
                  f'({len(videos)})' +
                  (f': {found["action"]}' if found['action'] else ''))
            shown = len(videos) if found['damage'] else names
            for name, detail in videos[:shown]:
                print(f'  - {name}' + (f': {detail}' if detail else ''))
            if len(videos) > len(videos[:shown]):
                print(f'  ... and {len(videos) - shown} more')


def expected_snippets(duration: float, seconds_per_snippet: float) -> int:
    """T of a video of ``duration`` seconds: ``floor(duration / step)``."""
    # 1e-6 because 12.8 / 0.64 must be 20
    return int(duration / seconds_per_snippet + 1e-6)


def length_problem(num_snippets: int, duration: float, dataset: DataSet,
                   tolerance: float) -> str:
    """Tells whether T contradicts the duration.

    Args:
        num_snippets: Rows of the feature file.
        duration: Duration of the video in seconds.
        dataset: Gives the step of the features.
        tolerance: Permitted share of the expected length; 2 snippets are
            always permitted, since extractors end differently.

    Returns:
        The contradiction in words, or ''.
    """
    step = dataset.seconds_per_snippet
    expected = expected_snippets(duration, step)
    if abs(num_snippets - expected) <= max(2, tolerance * expected):
        return ''
    return (
        f'{num_snippets} snippets, expected {expected} for {duration:.2f} s '
        f'at {step:g} s per snippet (ratio '
        f'{num_snippets * step / duration:.3f})')


def bad_name(name: str) -> str:
    """Why ``name`` cannot be a file name, or ''."""
    if not name or name in ('.', '..') or set(name) & set('/\\\0'):
        return 'the name cannot be used as a file name'
    return ''


def record_problems(record: dict, classes: list[str] | None) -> list[str]:
    """What makes a record of annotations.json unusable, in words.

    Args:
        record: See the module's docstring.
        classes: Permitted labels; None: any.
    """
    problems = []
    if not isinstance(record, dict):
        return [f'expected a json object, found {record!r}']
    if not isinstance(record.get('subset'), str):
        problems.append(f'"subset" is {record.get("subset")!r}, not a name')
    duration = record.get('duration')
    if not _is_number(duration) or duration <= 0:
        problems.append(f'"duration" is {duration!r}, not seconds > 0')
    labels = record.get('labels', [])
    annotations = record.get('annotations', [])
    if not isinstance(labels, list) or not isinstance(annotations, list):
        return problems + ['"labels" and "annotations" must be lists']
    if 'labels' not in record and 'annotations' not in record:
        problems.append('neither "labels" nor "annotations"')
    spans = []
    for item in annotations:
        if not isinstance(item, dict) or set(item) < {'label', 'segment'}:
            problems.append(f'annotation without label or segment: {item!r}')
            continue
        labels = labels + [item['label']]
        spans.append(item['segment'])
    for label in labels:
        if not isinstance(label, str):
            problems.append(f'label {label!r} is not a name')
        elif classes is not None and label not in classes:
            problems.append(f'label {label!r} is not in "classes"')
    ambiguous = record.get('ambiguous', [])
    if not isinstance(ambiguous, list):
        return problems + ['"ambiguous" must be a list of [start, end]']
    for span in spans + ambiguous:
        if not (isinstance(span, list) and len(span) == 2
                and all(map(_is_number, span))):
            problems.append(f'{span!r} is not [start, end] in seconds')
        elif not 0 <= span[0] <= span[1]:
            problems.append(f'{span} is not 0 <= start <= end')
    return list(dict.fromkeys(problems))


def _is_number(value: object) -> bool:
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and bool(np.isfinite(value)))


def describe(database: dict[str, dict], dataset: DataSet, report: Report,
             action: str) -> None:
    """Reports what is odd in the annotations but stays as published."""
    beyond = []
    for name, record in database.items():
        spans = [item['segment'] for item in record.get('annotations', [])]
        duration = record['duration']
        over = [end for _, end in spans if end > duration + 1e-6]
        if over:
            beyond.append(
                (max(over) - duration, name, f'{len(over)} of {len(spans)} '
                 f'segments, up to {max(over):.3f} s in {duration:.3f} s'))
        empty = sum(start == end for start, end in spans)
        if empty:
            report.add('segment of length zero', name,
                       f'{empty} of {len(spans)}', action)
        if name in dataset.oddities:
            report.add('known oddity', name, dataset.oddities[name], action)
    # the worst first: most of ActivityNet's are rounding of the duration
    for _, name, detail in sorted(beyond, reverse=True):
        report.add('annotation beyond the duration', name, detail, action)


def describe_lengths(lengths: dict[str, int], database: dict[str, dict],
                     dataset: DataSet, tolerance: float, report: Report,
                     action: str, damage: bool) -> None:
    ratios = []
    wrong = 0
    for name, length in lengths.items():
        duration = database[name]['duration']
        ratios.append(length * dataset.seconds_per_snippet / duration)
        problem = length_problem(length, duration, dataset, tolerance)
        if problem:
            wrong += 1
            report.add('length mismatch', name, problem, action, damage=damage)
    if wrong and abs(np.median(ratios) - 1) > 0.01:
        report.add(
            'clock of the features',
            'median over all videos',
            f'features cover {np.median(ratios):.3f} of the duration; if '
            f'the stride is 16 frames they were taken at '
            f'{16 * np.median(ratios) / dataset.seconds_per_snippet:.2f} '
            f'fps, not {16 / dataset.seconds_per_snippet:g}',
            'every time would be wrong by this factor: extract again, or '
            'state another step with custom.py --seconds-per-snippet',
            damage=damage)
