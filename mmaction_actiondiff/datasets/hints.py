# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""What to do where the data of a known data set are missing."""
from __future__ import annotations

_LAYOUT = ('Expected layout: {root}/annotations.json (ActivityNet schema) and '
           '{root}/features/NAME.npy, one (T, D) array per video; '
           'tools/prepare/custom.py makes it of features of your own.')

_I3D = (
    '{}: download the two-stream I3D features (16 frames at 25 fps, 2048 '
    'channels) and the {bundle}-Annotations bundle that the public CO2-Net '
    'code reads, then run\n'
    '    python tools/prepare/{tool}.py \\\n'
    '        --annotations DIR/{bundle}-Annotations \\\n'
    '        --features DIR/{bundle}-I3D-JOINTFeatures.npy \\\n'
    '        --out {{root}}')

_HINTS = dict(
    thumos14=_I3D.format(
        'THUMOS14', bundle='Thumos14reduced', tool='thumos14'),
    activitynet12=_I3D.format(
        'ActivityNet v1.2', bundle='ActivityNet1.2', tool='activitynet'),
    activitynet13=_I3D.format(
        'ActivityNet v1.3', bundle='ActivityNet1.3', tool='activitynet'),
    shrec21=("SHREC'21 hand-gesture recordings: unpack the archives that the "
             'page of the track offers, then run\n'
             '    python tools/prepare/shrec21.py --out {root} \\\n'
             '        --training DIR/SEQUENCES DIR/ANNOTATIONS.txt \\\n'
             '        --test DIR/SEQUENCES DIR/ANNOTATIONS.txt'),
    hapt=('HAPT smartphone recordings: unpack the archive that UCI offers, '
          'then run\n'
          '    python tools/prepare/hapt.py --raw DIR/RawData --out {root}'))


def data_hint(dataset_name: str | None, data_root: str) -> str:
    """What to download, where to put it and which command prepares it; for
    an unknown data set the layout only."""
    hint = _LAYOUT
    if dataset_name and dataset_name in _HINTS:
        hint = (f'{_HINTS[dataset_name]}\nTo keep the data elsewhere set '
                f'ACTIONDIFF_{dataset_name.upper()}.\n{_LAYOUT}')
    return hint.format(root=data_root)
