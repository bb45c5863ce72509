"""Annotations: grids of snippets, lengths, and files of any content."""
from __future__ import annotations

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmaction_actiondiff.annotations import canonical_subset, read_annotations
from mmaction_actiondiff.evaluation import read_detections
from mmaction_actiondiff.safe_npy import load_object_array
from mmaction_actiondiff.snippets import (SnippetGrid, clock_problem,
                                          length_problem)


@pytest.mark.parametrize('values, seconds, offset', [
    (dict(seconds_per_snippet=0.64), 0.64, 0),
    (dict(seconds_per_snippet='0.64', snippet_offset=0.2), 0.64, 0.2),
    (dict(stride=16, fps=25), 0.64, 0),
    (dict(stride=4, window=16, fps=30), 4 / 30, 0.2),
    (dict(stride=16, window=8, fps=25), 0.64, -0.16),
    (dict(stride=4, window=16, fps=30,
          seconds_per_snippet=0.13333), 4 / 30, 0.2),
])
def test_grid(values, seconds, offset):
    grid = SnippetGrid.read(values)
    assert grid.seconds == pytest.approx(seconds)
    assert grid.offset == pytest.approx(offset)
    assert SnippetGrid.read(grid.record()) == grid


@pytest.mark.parametrize('values, words', [
    (dict(stride=4), '"stride" .* and "fps" together'),
    (dict(window=4, fps=30), '"stride" .* and "fps" together'),
    (dict(stride=4, fps=0), 'fps must be a number > 0, found 0'),
    (dict(seconds_per_snippet=-1), 'must be a number > 0, found -1'),
    (dict(seconds_per_snippet='often'), "a number > 0, found 'often'"),
    (dict(seconds_per_snippet=float('nan')), 'a number > 0, found nan'),
    (dict(seconds_per_snippet=True), 'a number > 0, found True'),
    (dict(snippet_offset=1), 'needs seconds_per_snippet'),
    (dict(stride=4, fps=30, seconds_per_snippet=0.2), 'but there is also'),
    (dict(stride=4, window=16, fps=30, snippet_offset=0), 'there is also'),
])
def test_bad_grid(values, words):
    with pytest.raises(ValueError, match=words):
        SnippetGrid.read(values)


def test_the_rate_of_the_video_file_is_no_grid():
    assert SnippetGrid.read(dict(fps=30)) is None


def test_lengths():
    windows = SnippetGrid.read(dict(stride=4, window=16, fps=30))
    for frames in (16, 17, 300, 301, 302, 303, 900):
        assert windows.num_snippets(frames / 30) == (frames - 16) // 4 + 1
    plain = SnippetGrid(0.64)
    assert plain.num_snippets(12.8) == 20 and plain.num_snippets(0.1) == 0
    assert not length_problem(18, 12.8, plain)
    assert 'expected 20' in length_problem(17, 12.8, plain)


def test_clock():
    plain = SnippetGrid(0.64)
    durations = np.linspace(60, 300, 20)

    def items(lengths):
        return list(zip(lengths, durations, [plain] * 20))

    exact = [plain.num_snippets(d) for d in durations]
    assert not clock_problem(items(exact))
    assert not clock_problem([])
    # one odd video is none of the clock's
    assert not clock_problem(items([5, *exact[1:]]))
    problem = clock_problem(items([int(d * 30 / 16) for d in durations]))
    assert 'taken at 30.0' in problem and 'not 25' in problem
    problem = clock_problem(items([t - 3 for t in exact]), 0.)
    assert 'each lacks about 3 snippets' in problem
    problem = clock_problem(items([100] * 20))
    assert 'all have 100. If they were resized' in problem
    # clips of one length: nothing tells a window from a rate
    clips = [(9, 7.68, plain)] * 5
    assert 'they last 0.750 times' in clock_problem(clips)


def test_subsets():
    assert canonical_subset('Testing') == canonical_subset('test') == 'test'
    assert canonical_subset('VAL') == 'validation'
    assert canonical_subset('Fold 1') == 'Fold 1'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.text(), inner, max_size=3),
    max_leaves=6)
TIME = st.floats(-1, 20) | st.integers() | JSON
ITEM = st.fixed_dictionaries(
    dict(
        label=st.sampled_from(['a', 'Ambiguous']) | JSON,
        segment=st.lists(TIME, min_size=1, max_size=4) | JSON)) | JSON
RECORD = st.fixed_dictionaries(
    dict(subset=st.just('test') | JSON),
    optional=dict(
        duration=TIME,
        annotations=st.lists(ITEM, max_size=3) | JSON,
        labels=st.lists(st.just('a')) | JSON,
        ambiguous=JSON,
        stride=TIME,
        fps=TIME,
        window=TIME,
        seconds_per_snippet=TIME)) | JSON
FUZZ = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(
    content=st.fixed_dictionaries(
        dict(
            database=st.dictionaries(st.text(max_size=3), RECORD, max_size=3)
            | JSON),
        optional=dict(
            classes=st.just(['a']) | JSON,
            stride=TIME,
            fps=TIME,
            stream_channels=JSON)) | JSON)
def test_any_annotations(tmp_path, content):
    """Either they are sound, or the error names the file."""
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(content))
    try:
        annotations = read_annotations(path)
    except ValueError as error:
        assert str(path) in str(error)
        return
    for video in annotations.videos.values():
        assert video.segments.shape == (len(video.segment_labels), 2)
        assert np.isfinite(video.segments).all()
        assert (video.segments[:, 0] <= video.segments[:, 1]).all()
        json.dumps(video.record(), allow_nan=False)
    streams = annotations.stream_channels
    assert streams is None or all(isinstance(n, int) for n in streams)


@FUZZ
@given(
    items=st.lists(
        st.fixed_dictionaries(
            dict(
                label=st.just('a') | JSON,
                segment=st.lists(TIME, max_size=4) | JSON,
                score=TIME)) | JSON,
        max_size=3) | JSON)
def test_any_detections(tmp_path, items):
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(dict(results=dict(v=items))))
    try:
        found = read_detections(path, ['a'])['v']
    except ValueError as error:
        assert str(path) in str(error)
        return
    assert found.segments.shape == (len(found.scores), 2)
    assert np.isfinite(found.segments).all() and not found.labels.any()


@FUZZ
@given(
    where=st.floats(0, 1, exclude_max=True),
    change=st.binary(min_size=1, max_size=4))
def test_any_bundle(tmp_path, where, change):
    """A few bytes of a pickled array replaced: read, or refused by name."""
    array = np.empty(3, object)
    array[:] = [['a', 'b'], np.arange(3.), np.array(['x', 'yy'])]
    path = tmp_path / 'a.npy'
    np.save(path, array)
    data = bytearray(path.read_bytes())
    start = int(where * len(data))
    data[start:start + len(change)] = change
    path.write_bytes(data)
    with suppress(ValueError):
        assert isinstance(load_object_array(path), np.ndarray)
