import pytest

from mmaction_actiondiff.datasets import data_hint


@pytest.mark.parametrize('name, words', [
    ('thumos14', '--out some/root'),
    ('activitynet12', 'activitynet.py --out some/root'),
    ('activitynet13', 'activitynet.py --out some/root'),
    ('shrec21', 'ACTIONDIFF_SHREC21'),
    ('unheard of', 'some/root/features/NAME.npy'),
    (None, 'some/root/annotations.json'),
])
def test_hint(name, words):
    hint = data_hint(name, 'some/root')
    assert words in hint
    assert '{' not in hint
