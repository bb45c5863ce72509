import pytest

from mmaction_actiondiff.datasets import data_hint


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
