# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""What to do where the data of a known data set are missing."""
from __future__ import annotations

_LAYOUT = ('Expected layout: {root}/annotations.json (ActivityNet schema) and '
           '{root}/features/NAME.npy, one (T, D) array per video.')

_ACTIVITYNET = (
    'ActivityNet v{version}: download the two-stream I3D features (16 frames '
    'at 25 fps, 2048 channels) and the ActivityNet{version}-Annotations '
    'bundle that the public CO2-Net code reads, then run\n'
    '    python tools/prepare/activitynet.py \\\n'
    '        --annotations DIR/ActivityNet{version}-Annotations \\\n'
    '        --features DIR/ActivityNet{version}-I3D-JOINTFeatures.npy \\\n'
    '        --out {{root}}\n'
    'To keep the data elsewhere set {variable}.')

_HINTS = dict(
    thumos14=(
        'THUMOS14: download the two-stream I3D features (16 frames at 25 fps, '
        '2048 channels) and the Thumos14reduced-Annotations bundle that the '
        'public CO2-Net code reads, then run\n'
        '    python tools/prepare/thumos14.py \\\n'
        '        --annotations DIR/Thumos14reduced-Annotations \\\n'
        '        --features DIR/Thumos14reduced-I3D-JOINTFeatures.npy \\\n'
        '        --out {root}\n'
        'To keep the data elsewhere set ACTIONDIFF_THUMOS14.'),
    activitynet12=_ACTIVITYNET.format(
        version='1.2', variable='ACTIONDIFF_ACTIVITYNET12'),
    activitynet13=_ACTIVITYNET.format(
        version='1.3', variable='ACTIONDIFF_ACTIVITYNET13'),
    shrec21=("SHREC'21 hand-gesture recordings: unpack the archives that the "
             'page of the track offers, then run\n'
             '    python tools/prepare/shrec21.py --out {root} \\\n'
             '        --training DIR/SEQUENCES DIR/ANNOTATIONS.txt \\\n'
             '        --test DIR/SEQUENCES DIR/ANNOTATIONS.txt\n'
             'To keep the data elsewhere set ACTIONDIFF_SHREC21.'))


def data_hint(dataset_name: str | None, data_root: str) -> str:
    """What to download, where to put it and which command prepares it.

    Args:
        dataset_name (str, optional): Name of the data set; an unknown one
            gets the description of the layout only.
        data_root (str): The folder the data was looked for in.

    Returns:
        str: Text to end an error message about missing data with.
    """
    lines = [_LAYOUT]
    if dataset_name in _HINTS:
        lines.insert(0, _HINTS[dataset_name])
    return '\n'.join(lines).format(root=data_root)
