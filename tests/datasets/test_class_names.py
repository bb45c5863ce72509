import json

import numpy as np
import pytest

from mmaction_actiondiff.datasets import CLASS_NAMES, data_hint

SHARED_BUNDLES = dict(
    thumos14='thumos14/Thumos14reduced-Annotations',
    activitynet12='activitynet/ActivityNet1.2-Annotations',
    activitynet13='activitynet/ActivityNet1.3-Annotations')


@pytest.mark.parametrize('name, count', [('thumos14', 20),
                                         ('activitynet12', 100),
                                         ('activitynet13', 200),
                                         ('shrec21', 17)])
def test_number_and_order(name, count):
    classes = CLASS_NAMES[name]
    assert len(classes) == len(set(classes)) == count
    assert list(classes) == sorted(classes)


def test_misspellings_of_the_annotations_are_kept():
    assert {'Plataform diving', 'Polishing forniture',
            'Mooping floor'} <= set(CLASS_NAMES['activitynet13'])


@pytest.mark.parametrize('name', SHARED_BUNDLES)
def test_same_as_the_published_bundle(name, shared_data):
    from mmaction_actiondiff.safe_npy import load_object_array
    path = shared_data / SHARED_BUNDLES[name] / 'classlist.npy'
    published = [
        c.decode() if isinstance(c, bytes) else str(c)
        for c in np.ravel(load_object_array(path))
    ]
    assert list(CLASS_NAMES[name]) == published


def test_same_as_the_recordings(shared_data):
    text = (shared_data / 'shrec21/annotations.json').read_text()
    used = {
        item['label']
        for video in json.loads(text)['database'].values()
        for item in video['annotations']
    }
    assert set(CLASS_NAMES['shrec21']) == used


@pytest.mark.parametrize('name, words', [
    ('thumos14', '--out some/root'),
    ('activitynet12', 'DIR/ActivityNet1.2-Annotations'),
    ('activitynet13', 'DIR/ActivityNet1.3-Annotations'),
    ('shrec21', 'ACTIONDIFF_SHREC21'),
    ('unheard of', 'some/root/features/NAME.npy'),
    (None, 'some/root/annotations.json'),
])
def test_hint(name, words):
    hint = data_hint(name, 'some/root')
    assert words in hint
    assert '{' not in hint
