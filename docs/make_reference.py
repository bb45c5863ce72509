"""Writes what would else stand twice, from the code and the results.

``docs/configs.md``, ``docs/protocols.md`` and ``configs/metafile.yml``: run
``python docs/make_reference.py`` after a change of a docstring, a default, a
config or a table in ``docs/benchmark``; ``tests/test_docs.py`` compares.
"""
from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from mmengine.config import Config

from mmaction_actiondiff import __version__, evaluation, hooks, proposals
from mmaction_actiondiff.datasets import samplers, transforms, wtal_dataset
from mmaction_actiondiff.evaluation.protocols import PROTOCOLS, Protocol
from mmaction_actiondiff.models import (actiondiff, branch, localizer,
                                        supervised)
from mmaction_actiondiff.models.wtal import (acrnet, co2net, cola, ddgnet,
                                             delu, mil)
from mmaction_actiondiff.visualization_hook import DrawVideosHook

ROOT = Path(__file__).resolve().parents[1]
MADE = ('<!-- Written by `python docs/make_reference.py`: change the code, '
        'not this page. -->')

SECTIONS: dict[str, list[tuple[str, type | Any]]] = {
    'The localizer': [
        ('model', actiondiff.ActionDiff),
        ('model, of every weakly supervised localizer',
         localizer.WeakLocalizer),
    ],
    "The method's parts": [
        ('model.mask_generator', actiondiff.TopKMaskGenerator),
        ('model.condition', actiondiff.ActionCondition),
        ('model.diffusion_head', actiondiff.DiffusionHead),
        ('model.diffusion_head.denoiser', actiondiff.ConvDenoiser),
        ('model.fusion', actiondiff.ActionDiffFusion),
        ('model.loss', actiondiff.ActionDiffLoss),
    ],
    'Base branches': [
        ('model.base_branch, of every branch', branch.BaseBranch),
        ('model.base_branch', co2net.CrossModalBranch),
        ('model.base_branch', mil.ConvBranch),
        ('model.base_branch', ddgnet.DDGBranch),
        ('model.base_branch', cola.CoLABranch),
        ('model.base_branch', acrnet.ACRBranch),
    ],
    'Losses of the base': [
        ('model.loss.base', co2net.CO2NetLoss),
        ('model.loss.base', mil.MILLoss),
        ('model.loss.base', mil.PresentClassLoss),
        ('model.loss.base', delu.DELULoss),
        ('model.loss.base', ddgnet.DDGLoss),
        ('model.loss.base', cola.CoLALoss),
        ('model.loss.base', acrnet.ACRLoss),
        ('model.loss', supervised.SnippetSupervisionLoss),
    ],
    'Proposals': [
        ('model.proposal_generator', proposals.ProposalGenerator),
        ('model.proposal_generator.nms', proposals.soft_nms),
    ],
    'Data': [
        ('train_dataloader.dataset', wtal_dataset.WTALDataset),
        ('train_dataloader.dataset.pipeline', transforms.LoadSnippetFeature),
        ('train_dataloader.dataset.pipeline', transforms.SampleSnippets),
        ('train_dataloader.sampler', samplers.WTALSampler),
        ('train_dataloader.batch_sampler', samplers.PairBatchSampler),
    ],
    'Evaluation and hooks': [
        ('val_evaluator', evaluation.DetectionMAP),
        ('default_hooks.checkpoint', hooks.WTALCheckpointHook),
        ('default_hooks.non_finite', hooks.StopAtNonFiniteHook),
        ('default_hooks.draw', DrawVideosHook),
    ],
}

CONFIGS = ('demo', 'thumos14', 'activitynet12', 'activitynet13', 'shrec21',
           'hapt', 'custom')
BESIDE_THE_MODEL = ('train_cfg.max_iters', 'train_dataloader.batch_size',
                    'train_dataloader.batch_sampler.num_pairs',
                    'optim_wrapper.optimizer.lr',
                    'optim_wrapper.optimizer.weight_decay')


def plain(text: str) -> str:
    """Of reStructuredText, as it may stand in a cell of a table."""
    text = re.sub(r':\w+:`~?([^`]*)`', r'`\1`', ' '.join(text.split()))
    return text.replace('``', '`').replace('|', r'\|')


def arguments(kind: Any) -> dict[str, str]:
    """Meaning of each argument, of the docstring or of a parent's."""
    known = {}
    for one in reversed(
            inspect.getmro(kind)[:-1]) if inspect.isclass(kind) else [kind]:
        for section in re.findall(r'^Args:\n(.*?)(?=^\S|\Z)',
                                  inspect.cleandoc(one.__doc__ or ''),
                                  re.S | re.M):
            for item in re.split(r'\n    (?=\S)', '\n' + section):
                parts = re.match(r'([\w*]+(?:, \w+)*)(?: \(.*?\))?:\s+(.*)',
                                 item, re.S)
                if parts:
                    for name in parts[1].split(', '):
                        known[name.strip('*')] = plain(parts[2])
    return known


def settings(kind: Any) -> Iterator[tuple[str, str, str]]:
    """Name, default and meaning of each argument.

    Raises:
        ValueError: If a docstring leaves one out.
    """
    known = arguments(kind)
    given = ('self', 'args', 'kwargs', 'spans', 'scores', 'labels')
    for name, parameter in inspect.signature(kind).parameters.items():
        if name in given:
            continue
        default = parameter.default
        shown = '' if default is parameter.empty else f'`{default!r}`'
        meaning = re.sub(r' Default to \S+( |, ).*\.$', '',
                         known.get(name, ''))
        number = re.escape(str(default).removesuffix('.0'))
        meaning = re.sub(
            rf' ?Defaults to ({re.escape(repr(default))}|{number})\.$', '',
            meaning)
        if not meaning:
            raise ValueError(
                f'{kind.__name__}: the docstring does not explain {name}')
        yield name, shown, meaning


def first_sentence(kind: Any) -> str:
    return plain((inspect.getdoc(kind) or '').split('\n\n')[0])


def body(kind: Any) -> list[str]:
    """What the docstring says between its first paragraph and Args."""
    text = (inspect.getdoc(kind) or '').partition('\n\n')[2]
    text = re.split(
        r'^(?:Args|Raises|Attributes|Returns):$', text, flags=re.M)[0]
    text = re.sub(r':\w+:`~?([^`]*)`', r'\1', text).replace('``', '`')
    return ['```text', text.strip(), '```', ''] if text.strip() else []


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = ['| ' + ' | '.join(row) + ' |' for row in [head, *rows]]
    return [lines[0], '|' + ' --- |' * len(head), *lines[1:], '']


def flat(cfg: Any, prefix: str) -> dict[str, Any]:
    """``model.fusion.weight`` and the like, with their values."""
    if not isinstance(cfg, dict):
        return {prefix: cfg}
    return {
        name: value
        for key, item in cfg.items()
        for name, value in flat(item, f'{prefix}.{key}').items()
    }


def shipped() -> list[str]:
    """What each config sets, where two of them or a default differ."""
    columns = []
    for name in CONFIGS:
        cfg = Config.fromfile(ROOT / 'configs' / f'actiondiff_{name}.py')
        values = flat(cfg.model.to_dict(), 'model')
        for key in BESIDE_THE_MODEL:
            item: Any = cfg
            for part in key.split('.'):
                item = item.get(part, {})
            values[key] = item
        columns.append(values)
    keys = dict.fromkeys(key for values in columns for key in values)
    rows = []
    for key in keys:
        row = [values.get(key, '') for values in columns]
        if key.endswith('.type') and len({str(x) for x in row}) == 1:
            continue
        rows.append([f'`{key}`'] + [str(x) for x in row])
    return table(['setting', *CONFIGS], rows)


def configs_page() -> str:
    lines = [
        '# Settings', '', MADE, '',
        'Every setting of the method, its default and its meaning. Change one '
        'in a config, or', 'for one run:', '', '```bash',
        'python tools/train.py configs/actiondiff_demo.py \\',
        '    --cfg-options model.fusion.weight=0.3 '
        'model.warmup=0.1', '```', '',
        'A key that nothing reads is refused, with the closest one that is '
        'read. Dimension', 'letters are those of [architecture.md]'
        '(architecture.md).', '', '## What the configs set', '',
        '`configs/actiondiff_DATA.py`; where a cell is empty, the default '
        'holds.', '', *shipped()
    ]
    for title, kinds in SECTIONS.items():
        lines += [f'## {title}', '']
        for place, kind in kinds:
            key, comma, note = place.partition(',')
            lines += [
                f'### `{kind.__name__}`', '',
                f'`{key}`{comma}{note}. {first_sentence(kind)}', '',
                *body(kind)
            ]
            rows = [[f'`{name}`', default, meaning]
                    for name, default, meaning in settings(kind)]
            if rows:
                lines += table(['setting', 'default', 'meaning'], rows)
            parents = [
                parent for parent in inspect.getmro(kind)[1:]
                if parent in all_kinds()
            ] if inspect.isclass(kind) else []
            signature = inspect.signature(kind).parameters
            if parents and 'kwargs' in signature:
                lines += [f'And those of `{parents[0].__name__}`.', '']
    return '\n'.join(lines)


def all_kinds() -> list[Any]:
    return [kind for kinds in SECTIONS.values() for _, kind in kinds]


def protocols_page() -> str:
    parts = re.search(r'Attributes:\n(.*?)\n\n',
                      inspect.getdoc(Protocol) or '', re.S)
    assert parts is not None
    rows = []
    for item in re.split(r'\n    (?=\S)', '\n' + parts[1])[1:]:
        name, kind, meaning = re.match(  # type: ignore[union-attr]
            r'(\w+) \((.*?)\): (.*)', item, re.S).groups()
        if name != 'name':
            rows.append([f'`{name}`', plain(meaning)])
    used = {
        'seconds': 'any data set',
        'seconds212': 'THUMOS14, the default',
        'co2': 'THUMOS14, as CO2-Net, DELU, DDG-Net',
        'um210': 'THUMOS14, as UM, CoLA',
        'acr': 'THUMOS14, as ACRNet',
        'anet': 'ActivityNet v1.2 and v1.3',
    }
    if set(used) != set(PROTOCOLS):
        raise ValueError('docs/make_reference.py must say what each of '
                         f'{sorted(PROTOCOLS)} is for')
    named = []
    for name, protocol in PROTOCOLS.items():
        thrs = protocol.tiou_thrs
        averages = ', '.join(f'{low:g}:{high:g}'
                             for low, high in protocol.averages)
        named.append([
            f'`{name}`', used[name], protocol.gt_unit,
            ', '.join(x.rsplit('_')[-1] for x in protocol.exclude) or '–',
            protocol.ambiguous, f'{thrs[0]:g} ... {thrs[-1]:g}', averages
        ])
    return '\n'.join([
        '# Protocols', '', MADE, '',
        'The protocol alone moves the mAP of fixed detections by a point and '
        'more, so that', 'numbers compare only where it is the same. '
        '`DetectionMAP(protocol=NAME)` takes one by', 'name, and every table '
        'that is logged says which, with its videos and instances.', '',
        *table([
            'protocol', 'for', 'unit of the ground truth',
            'videos left out (video_test_…)', 'ambiguous spans', 'tIoU',
            'averages'
        ], named),
        'All take the interpolated precision of ActivityNet\'s evaluation '
        'and drop what is', 'detected in other videos.', '',
        '## What a protocol consists of', '',
        'Each part can be replaced, for instance by `--cfg-options '
        'test_evaluator.tiou_thrs=[0.5,0.75]`;', 'the table then names it '
        'beside the protocol.', '', *table(['part', 'meaning'], rows),
        '## How far apart they are', '',
        'Of 31,587 public detections of CO2-Net on THUMOS14, the average mAP '
        'over tIoU 0.1:0.7', 'is 42.4 (`seconds212`), 43.4 (`co2`) and 43.3 '
        '(`um210`), computed by', '', '```',
        'python tools/evaluate.py --detections co2net_test.json \\',
        '    --ann-file Thumos14reduced-Annotations --protocol NAME', '```',
        '', 'The evaluator agrees with ActivityNet\'s '
        '(`tests/parity/test_activitynet_evaluator.py`).', ''
    ])


METHODS = {
    'actiondiff': ('ActionDiff', 'Action-to-Action Diffusion Network for '
                   'Weakly Supervised Temporal Action Localization', 2025),
    'selftrain': ('Self-training control', None, None),
    'base': ('Base branch', None, None),
    'supervised': ('Supervised base branch', None, None),
    'co2net': ('CO2-Net', 'Cross-modal Consensus Network for Weakly '
               'Supervised Temporal Action Localization', 2021),
    'delu': ('DELU', 'Dual-Evidential Learning for Weakly-supervised '
             'Temporal Action Localization', 2022),
    'ddg': ('DDG-Net', 'DDG-Net: Discriminability-Driven Graph Network for '
            'Weakly-supervised Temporal Action Localization', 2023),
    'cola': ('CoLA', 'CoLA: Weakly-Supervised Temporal Action Localization '
             'with Snippet Contrastive Learning', 2021),
    'acr': ('ACRNet', 'Weakly-supervised Temporal Action Localization with '
            'Adaptive Clustering and Refining Network', 2023),
    'bmn': ('BMN', 'BMN: Boundary-Matching Network for Temporal Action '
            'Proposal Generation', 2019),
    'bsn': ('BSN', 'BSN: Boundary Sensitive Network for Temporal Action '
            'Proposal Generation', 2018),
    'tcanet': ('TCANet', 'Temporal Context Aggregation Network for Temporal '
               'Action Proposal Refinement', 2021),
}
DATA = {
    'thumos14': 'THUMOS14',
    'activitynet12': 'ActivityNet v1.2',
    'activitynet13': 'ActivityNet v1.3',
    'shrec21': "SHREC'21 hand gestures",
    'hapt': 'HAPT motion sensors',
    'demo': 'generated (demo)',
    'custom': 'your own',
}


def results(config: str, data: str) -> list[dict[str, Any]]:
    """What docs/benchmark says of a config, if this version made it."""
    path = ROOT / 'docs' / 'benchmark' / f'{data}.json'
    if not path.exists():
        return []
    report = json.loads(path.read_text('utf-8'))
    if report['versions']['mmaction_actiondiff'] != __version__:
        return []
    for entry in report['entries'].values():
        if entry.get('config') == config and entry.get('mean') is not None:
            metrics = {
                f'mAP@{thr}': round(item['mean'], 1)
                for thr, item in entry['mAP'].items()
            }
            key = report['main_metric'].removeprefix('det/')
            metrics[key] = round(entry['mean'], 1)
            metrics['seeds'] = len(entry['seeds'])
            return [
                dict(
                    Task='Temporal Action Localization',
                    Dataset=f'{DATA[data]}, protocol {report["protocol"]}',
                    Metrics=metrics)
            ]
    return []


def metafile() -> str:
    collections = []
    for name, title, year in METHODS.values():
        item: dict[str, Any] = dict(Name=name, README='configs/README.md')
        if title:
            item['Paper'] = dict(Title=title, Year=year)
        collections.append(item)
    models = []
    for path in sorted((ROOT / 'configs').rglob('*.py')):
        if {'_base_', 'benchmarks'} & set(path.parts):
            continue
        config = path.relative_to(ROOT).as_posix()
        method, *rest = path.stem.split('_')
        data = next(word for word in rest if word in DATA)
        model = dict(Name=path.stem, Config=config)
        model['In Collection'] = METHODS[method][0]
        model['Metadata'] = {'Training Data': DATA[data]}
        metrics = results(config, data)
        if metrics:
            model['Results'] = metrics
        models.append(model)
    lines = [
        MADE.replace('<!-- ', '# ').replace(' -->',
                                            '').replace('page', 'file')
    ]
    for part, items in (('Collections', collections), ('Models', models)):
        lines.append(f'{part}:')
        lines += [
            '- ' + yaml.safe_dump(
                item,
                sort_keys=False,
                allow_unicode=True,
                default_flow_style=True,
                width=10**6).strip() for item in items
        ]
    return '\n'.join(lines) + '\n'


PAGES = {
    'docs/configs.md': configs_page,
    'docs/protocols.md': protocols_page,
    'configs/metafile.yml': metafile
}

if __name__ == '__main__':
    for page, write in PAGES.items():
        (ROOT / page).write_text(write(), encoding='utf-8')
