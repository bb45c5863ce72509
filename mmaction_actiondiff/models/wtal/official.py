# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Checkpoints of the published code, in the layout of our branches.

Their networks are ours under other names (``tests/golden``); what they keep
and never use is left out.
"""
from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mmaction_actiondiff._compat import load_from_local
from mmaction_actiondiff.files import whole_file

# Convolutions, theirs -> ours; each has a weight and most a bias. None: one
# that they keep and never use.
_ATTENTION = {'0': 'conv1', '3': 'conv2', '5': 'score'}
_CLASSIFIER = {
    'fusion.0': 'fuse',
    'classifier.1': 'hidden.0',
    'classifier.4': 'classifier',
}
_CO2NET: dict[str, str | None] = {**_CLASSIFIER, 'feat_encoder.0': None}
for _theirs, _ours in (('vAttn', 'rgb'), ('fAttn', 'flow')):
    _CO2NET[f'{_theirs}.bit_wise_attn.0'] = f'{_ours}_gate.local'
    _CO2NET[f'{_theirs}.channel_conv.0'] = f'{_ours}_gate.channel'
    for _layer, _name in _ATTENTION.items():
        _CO2NET[f'{_theirs}.attention.{_layer}'] = f'{_ours}_attention.{_name}'
_DDGNET: dict[str, str | None] = {**_CLASSIFIER}
for _number, _ours in enumerate(('rgb', 'flow')):
    for _layer, _name in _ATTENTION.items():
        _DDGNET[f'Attn.attentions.{_number}.{_layer}'] = (
            f'{_ours}_attention.{_name}')
    for _name in ('action.0', 'action.1', 'background.0', 'background.1'):
        _kind, _layer = _name.split('.')
        _DDGNET[f'Attn.{_kind}_graph.{_number}.{_layer}'] = (
            f'{_ours}_graph.{_name}')
_COLA: dict[str, str | None] = {
    'actionness_module.f_embed.0': 'embed',
    'actionness_module.f_cls.0': 'classifier',
}
_ACRNET: dict[str, str | None] = {
    theirs.format(stream): ours.format(stream)
    for stream in ('rgb', 'flow')
    for theirs, ours in {
        '{}_bwa.attn.0': '{}_gate.local',
        '{}_bwa.conv.0': '{}_gate.channel',
        'cas_{}_encoder.0': '{}_heads.hidden',
        'cas_{}_encoder.2': '{}_heads.classifier',
        'aas_{}_encoder.0': '{}_heads.actionness.0',
        'aas_{}_encoder.2': '{}_heads.actionness.2',
    }.items()
}
# ACRNet's attention: no layers, and the same shapes.
_RENAMED = {
    'mca.rgb_proj': 'cross_attention.rgb',
    'mca.flow_proj': 'cross_attention.flow',
    'mca.atte': 'cross_attention.score',
}
METHODS: dict[str, dict[str, str | None]] = dict(
    co2net=_CO2NET, delu=_CO2NET, ddgnet=_DDGNET, cola=_COLA, acrnet=_ACRNET)


def convert_checkpoint(method: str, source: str | Path,
                       target: str | Path) -> int:
    """Convert a file, see :func:`convert_state_dict`; no code in it is run.

    Returns:
        int: Number of the tensors written.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds more than tensors, or is no checkpoint of the
            method.
    """
    state = load_from_local(str(source), 'cpu')
    if isinstance(state, dict) and isinstance(state.get('state_dict'), dict):
        state = state['state_dict']
    if not isinstance(state, dict) or not state or not all(
            isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f'{source}: expected a state dict of tensors, found '
                         f'{type(state).__name__}')
    try:
        state = convert_state_dict(method, {
            k.removeprefix('module.'): x
            for k, x in state.items()
        })
    except ValueError as error:
        raise ValueError(f'{source}: {error}') from error
    with whole_file(target) as file:
        torch.save(
            dict(state_dict=state, meta=dict(converted_from=method)), file)
    return len(state)


def convert_state_dict(method: str, state: dict[str,
                                                Tensor]) -> dict[str, Tensor]:
    """Rename, and where needed reshape, the weights of a published network.

    Args:
        method (str): A key of ``METHODS``.
        state (dict[str, Tensor]): As the published code saves it.

    Returns:
        dict[str, Tensor]: The weights of a ``WeakLocalizer``.

    Raises:
        ValueError: For keys that are not those of the method.
    """
    names = {
        f'{theirs}.{kind}': ours and f'{ours}.{kind}'
        for theirs, ours in METHODS[method].items()
        for kind in ('weight', 'bias')
    }
    if method == 'acrnet':
        names.update(_RENAMED)
    # not every convolution has a bias
    wanted = [
        theirs for theirs, ours in names.items()
        if ours and not theirs.endswith('.bias')
    ]
    missing = [theirs for theirs in wanted if theirs not in state]
    unknown = [theirs for theirs in state if theirs not in names]
    if unknown or missing:
        raise ValueError(
            f'not a checkpoint of the published {method} code: it lacks '
            f'{len(missing)} of {len(wanted)} weights (such as {missing[:2]}) '
            f'and has {len(unknown)} unknown ones (such as {unknown[:2]}). '
            f'The methods are {sorted(METHODS)}')
    converted = {}
    for theirs, value in state.items():
        ours = names[theirs]
        if ours is None:
            continue
        if ours.endswith('gate.channel.weight'):
            # of a sequence of length one, the outer taps see padding
            value = value[..., value.size(-1) // 2, None]
        converted[f'base_branch.{ours}'] = value.clone()
    return converted
