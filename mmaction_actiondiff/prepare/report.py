# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""What is known of a data set, and what was found in it."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from mmaction_actiondiff.annotations import Video
from mmaction_actiondiff.snippets import (SnippetGrid, clock_problem,
                                          length_problem)


@dataclass
class DataSet:
    """What is known of a data set before reading it.

    Attributes:
        name (str): Name, written as ``version``.
        subsets (dict[str, str]): Name in our files by canonical subset;
            empty: any, as it is.
        grid (SnippetGrid): Of videos that do not say their own.
        grid_known (bool): Whether it is more than a guess.
        channels (int, optional): D; None: whatever the features agree on.
        num_classes (int, optional): Number of classes; None: any.
        expected (dict): By subset, the published (videos, instances); several
            where published lists differ, ``None`` where unknown.
        exact (bool): Whether other counts are damage (``--check``).
    """
    name: str
    subsets: dict[str, str] = field(default_factory=dict)
    grid: SnippetGrid = SnippetGrid(16 / 25)
    grid_known: bool = True
    channels: int | None = 2048
    num_classes: int | None = None
    expected: dict[str, list[tuple[int,
                                   int | None]]] = field(default_factory=dict)
    exact: bool = False


class Report:
    """Collects findings: what, in which video, what was done about it.

    Attributes:
        findings (dict): By kind, its ``action``, whether it is ``damage``,
            and details by ``videos``.
        counts (dict): Videos and instances by subset.
    """

    def __init__(self) -> None:
        self.findings: dict[str, dict] = {}
        self.counts: dict[str, dict] = defaultdict(
            lambda: dict(videos=0, instances=0))

    def add(self,
            kind: str,
            name: str,
            detail: str = '',
            action: str = '',
            damage: bool = False) -> None:
        """Adds to a kind of findings, of one action, a video or file and the
        numbers of this case; the exit status tells of damage."""
        finding = self.findings.setdefault(
            kind, dict(action=action, damage=damage, videos={}))
        finding['videos'][name] = detail

    @property
    def damaged(self) -> bool:
        """Whether any finding is damage."""
        return any(item['damage'] for item in self.findings.values())

    def describe(self, videos: Mapping[str, Video], lengths: Mapping[str, int],
                 dataset: DataSet, action: str, damage: bool) -> None:
        """Adds what is odd in the annotations and in the feature lengths, and
        the counts.

        All ``videos`` have a duration; ``lengths`` holds the T to compare with
        it (see :func:`length_problem`), and ``damage`` says whether another
        one is.
        """
        beyond = []
        for name, video in videos.items():
            start, end = video.segments.T
            duration = video.duration or 0.
            over = end[end > duration + 1e-6]
            if len(over):
                beyond.append(
                    (over.max() - duration, name, f'{len(over)} of '
                     f'{len(end)} segments, up to {over.max():.3f} s in '
                     f'{duration:.3f} s'))
            if (start == end).any():
                self.add('segment of length zero', name,
                         f'{(start == end).sum()} of {len(end)}', action)
        # the worst first: most of ActivityNet's are rounding of the duration
        for _, name, detail in sorted(beyond, reverse=True):
            self.add('annotation beyond the duration', name, detail, action)
        items = [(length, videos[name].duration or 0., videos[name].grid
                  or dataset.grid) for name, length in lengths.items()]
        for name, item in zip(lengths, items):
            problem = length_problem(*item)
            if problem:
                self.add(
                    'length mismatch', name, problem, action, damage=damage)
        problem = clock_problem(items)
        if problem:
            self.add(
                'clock of the features',
                'median over all videos',
                problem,
                'every time would be wrong: extract again, or state the right '
                'step (custom.py --stride, --window, --fps)',
                damage=damage)
        self._count(videos, dataset)

    def _count(self, videos: Mapping[str, Video], dataset: DataSet) -> None:
        for video in videos.values():
            counts = self.counts[video.subset]
            counts['videos'] += 1
            counts['instances'] += len(video.segments)
        for subset, published in dataset.expected.items():
            counts = self.counts[subset]
            counts['expected'] = ' or '.join(
                f'{number} videos' +
                (f', {instances} instances' if instances else '')
                for number, instances in published)
            if not any(counts['videos'] == number and instances in
                       (None, counts['instances'])
                       for number, instances in published):
                self.add(
                    'counts other than published',
                    subset,
                    f'{counts["videos"]} videos, {counts["instances"]} '
                    f'instances, expected {counts["expected"]}; '
                    f'{published[0][0] - counts["videos"]} videos are absent '
                    'from the source or were left out',
                    damage=dataset.exact)

    def show(self) -> None:
        """Prints the report: at most ten videos of a kind, but damage in
        full."""
        for subset, counts in sorted(self.counts.items()):
            expected = counts.get('expected')
            print(f'{subset}: {counts["videos"]} videos, '
                  f'{counts["instances"]} instances' +
                  (f' (published: {expected})' if expected else ''))
        for kind, item in self.findings.items():
            videos = list(item['videos'].items())
            print(f'{"DAMAGE: " if item["damage"] else ""}{kind} '
                  f'({len(videos)})' +
                  (f': {item["action"]}' if item['action'] else ''))
            shown = videos if item['damage'] else videos[:10]
            for name, detail in shown:
                print(f'  - {name}' + (f': {detail}' if detail else ''))
            if len(shown) < len(videos):
                print(f'  ... and {len(videos) - len(shown)} more')
