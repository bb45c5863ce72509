"""What a benchmark reports of its runs: numbers, table and chart."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Iterable, Mapping, Sequence

import numpy as np
from mmengine.config import Config

from . import BenchmarkError
from .plan import FAMILIES


def mean_std(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and standard deviation of the sample (None for one value)."""
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return dict(mean=float(np.mean(values)), std=std)


def paired_difference(first: Mapping[int, float],
                      second: Mapping[int, float]) -> dict | None:
    """Difference of two entries, seed by seed.

    Args:
        first, second (Mapping[int, float]): Value by seed.

    Returns:
        dict, optional: ``seeds`` that both have, ``mean`` of the differences
        and its ``standard_error`` (standard deviation of the sample over
        ``sqrt(n)``; None for one seed). None without a common seed.
    """
    seeds = sorted(set(first) & set(second))
    if not seeds:
        return None
    found = mean_std([first[seed] - second[seed] for seed in seeds])
    error = found['std'] and found['std'] / len(seeds)**0.5
    return dict(seeds=seeds, mean=found['mean'], standard_error=error)


def share_of_gap(value: float, base: float, ceiling: float) -> float | None:
    """Part of the gap from base to ceiling that is closed, in percent; None
    where the ceiling is not above the base."""
    if ceiling <= base:
        return None
    return float(100 * (value - base) / (ceiling - base))


def merged(descriptions: Iterable[Mapping]) -> dict[str, Any]:
    """One description of all runs; ``a / b`` shows where they differ.

    A description may itself be one of several runs.
    """
    found: dict[str, dict[str, Any]] = {}
    for description in descriptions:
        for key, value in description.items():
            for text in str(value).split(' / '):
                found.setdefault(key, {})[text] = value
    return {
        key:
        ' / '.join(sorted(values)) if len(values) > 1 else values.popitem()[1]
        for key, values in found.items()
    }


def summarise(bench: Config,
              results: Mapping[str, Mapping[int, dict]],
              seeds: Sequence[int],
              command: str = '',
              published: Mapping | None = None) -> dict:
    """All numbers of the report.

    Args:
        bench (Config): The benchmark.
        results (Mapping): Results of finished runs by entry and seed; no
            entry without a run.
        seeds (Sequence[int]): Those asked for.
        command (str): What makes this report.
        published (Mapping, optional): An earlier report; its rows stand
            until every seed asked for has a result.

    Returns:
        dict: For json; see ``docs/benchmark``.

    Raises:
        BenchmarkError: If the earlier report was evaluated in another way.
    """
    every = [run for runs in results.values() for run in runs.values()]
    protocol: dict = next(
        (run['protocol'] for run in every if run['protocol']), {})
    evaluated = dict(
        protocol=bench.protocol,
        protocol_settings=protocol.get('settings'),
        num_videos=protocol.get('num_videos'),
        num_gt=protocol.get('num_gt'),
        main_metric=bench.main_metric)
    kept: dict[str, dict] = {}
    if published:
        for key, value in evaluated.items():
            if published[key] != value:
                raise BenchmarkError(
                    f'the published report of {bench.name} has {key}='
                    f'{published[key]!r}, the runs {value!r}: its rows cannot '
                    'stand beside them, so run again without --keep-rows')
        kept = {
            name: dict(row, **described(bench, name))
            for name, row in published['entries'].items()
            if name in bench.entries and set(seeds) -
            set(results.get(name, ()))
        }
    entries = {
        name: kept.get(name) or entry_row(bench, name, results[name], seeds)
        for name in bench.entries if name in kept or name in results
    }
    sources = [*every, published] if published and kept else every
    return dict(
        name=bench.name,
        **evaluated,
        command=command,
        iteration='the last one of each config, never chosen on the test set',
        seeds=list(seeds),
        base=bench.base,
        ceiling=bench.ceiling,
        missing=[name for name in bench.entries if name not in entries],
        kept=list(kept),
        differences=compare(bench, entries),
        versions=merged(source['versions'] for source in sources),
        machine=merged(source['machine'] for source in sources),
        entries=entries)


def described(bench: Config, name: str) -> dict:
    """What the benchmark says of an entry."""
    entry = bench.entries[name]
    return dict(
        family=entry.family,
        label=entry.label,
        block=entry.get('block'),
        note=entry.get('note'),
        config=entry.config.replace('{data}', bench.data))


def entry_row(bench: Config, name: str, runs: Mapping[int, dict],
              seeds: Sequence[int]) -> dict:
    """What the runs of one entry have found."""
    runs = dict(sorted(runs.items()))
    every = [run['metrics'] for run in runs.values()]
    found = {key: None for own in every for key in own}
    metrics: dict[str, dict] = {
        key: mean_std([own[key] for own in every if own.get(key) is not None])
        for key in bench.entries[name].get('metrics') or found
    }

    def pick(prefix: str) -> dict[str, dict]:
        return {
            key[len(prefix):]: value
            for key, value in metrics.items() if key.startswith(prefix)
        }

    def cost(key: str) -> dict | None:
        values = [run[key] for run in runs.values() if run[key] is not None]
        return mean_std(values) if values else None

    average = [
        own[bench.main_metric] for own in every
        if own.get(bench.main_metric) is not None
    ]
    best = [
        max(run['history'].values()) for run in runs.values() if run['history']
    ]
    precision = pick('det/mAP@')
    singles = {k: v for k, v in precision.items() if ':' not in k}
    ranges = {k: v for k, v in precision.items() if ':' in k}
    others = {
        k: v
        for k, v in metrics.items()
        if '/mAP@' in k and ':' in k and not k.startswith('det/')
    }
    first = next(iter(runs.values()))
    row = dict(
        **described(bench, name),
        seeds=list(runs),
        missing_seeds=[seed for seed in seeds if seed not in runs],
        iteration=first['iteration'],
        average=average,
        **(mean_std(average) if average else dict(mean=None, std=None)),
        mAP=singles,
        mAP_by_seed={
            thr: [own.get(f'det/mAP@{thr}') for own in every]
            for thr in singles
        },
        averages=ranges,
        video_acc=metrics.get('det/video_acc'),
        other_averages=others,
        best_on_test=mean_std(best) if best else None,
        parameters=first['parameters'],
        train_seconds=cost('train_seconds'),
        inference_ms=cost('inference_ms'),
        peak_memory_mb=cost('peak_memory_mb'),
        peak_gpu_memory_mb=cost('peak_gpu_memory_mb'))
    row['AR@AN'] = pick('proposal/AR@')
    return row


def compare(bench: Config, entries: Mapping[str, dict]) -> list[dict]:
    """Relate each row to base and ceiling; the differences asked for."""
    averages = {
        name: by_seed(row, row['average'])
        for name, row in entries.items()
    }
    base = averages.get(bench.base, {})
    ceiling = averages.get(bench.ceiling, {})
    for name, row in entries.items():
        own = averages[name]
        row['minus_base'] = None
        if name != bench.base:
            row['minus_base'] = paired_difference(own, base)
        seeds = own.keys() & base.keys() & ceiling.keys()
        row['share_of_gap'] = share_of_gap(
            *(np.mean([values[seed] for seed in seeds])
              for values in (own, base, ceiling))) if seeds else None

    differences = []
    for first, second in bench.compare:
        found = paired_difference(
            averages.get(first, {}), averages.get(second, {}))
        if found:
            # rows of older reports lack the single seeds
            one, other = (
                entries[name].get('mAP_by_seed', {})
                for name in (first, second))
            by_tiou = {
                thr:
                paired_difference(
                    by_seed(entries[first], one[thr]),
                    by_seed(entries[second], other[thr]))
                for thr in one if thr in other
            }
            differences.append(
                dict(first=first, second=second, **found, by_tiou=by_tiou))
    return differences


def by_seed(row: Mapping, values: Sequence[float | None]) -> dict[int, float]:
    """The values of a row's runs, where there are any."""
    return {
        seed: value
        for seed, value in zip(row['seeds'], values) if value is not None
    }


def write(path: Path, text: str) -> None:
    """Write a file as a whole or not at all."""
    new = path.with_suffix(path.suffix + '.new')
    new.write_text(text, encoding='utf-8')
    os.replace(new, path)


def number(found: Mapping | None, digits: int = 1, sign: str = '') -> str:
    """``mean ± deviation`` of any of the dictionaries above."""
    if not found or found['mean'] is None:
        return '–'
    spread = found.get('standard_error', found.get('std'))
    text = f'{found["mean"]:{sign}.{digits}f}'
    return text if spread is None else f'{text} ± {spread:.{digits}f}'


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ['| ' + ' | '.join(head) + ' |', '|---' * len(head) + '|']
    return lines + ['| ' + ' | '.join(row) + ' |' for row in rows]


def ordered(report: Mapping) -> list[tuple[str | None, list[dict]]]:
    """Entries by block, then by family."""
    entries = list(report['entries'].values())
    blocks = dict.fromkeys(entry['block'] for entry in entries)
    return [(block,
             sorted((e for e in entries if e['block'] == block),
                    key=lambda entry: FAMILIES.index(entry['family'])))
            for block in blocks]


def markdown(bench: Config, report: Mapping) -> str:
    """The report to read."""
    average = bench.main_metric.partition('@')[2]
    entries = list(report['entries'].values())
    thrs = bench.get('columns') or list(
        dict.fromkeys(thr for entry in entries for thr in entry['mAP']))
    with_gap = report['ceiling'] in report['entries']
    seeds = ' '.join(map(str, report['seeds']))
    lines = [
        f'# Benchmark: {report["name"]}', '',
        f'Protocol `{report["protocol"]}`: {report["num_videos"]} videos, '
        f'{report["num_gt"]} instances. Seeds {seeds}. Every run is evaluated '
        'at the last iteration of its config. Made by', '', '```bash',
        report['command'], '```', '',
        f'mAP (%) by tIoU, **{average}** their mean ± standard deviation over '
        'the seeds.', ''
    ]
    head = [
        'method', 'family', *thrs, f'**{average}**', f'− {report["base"]}',
        *(['gap closed'] if with_gap else []), 'AR@100',
        'best on test (test-selected)'
    ]
    costs = []
    for block, members in ordered(report):
        rows = []
        for entry in members:
            gap = entry['share_of_gap']
            rows.append([
                entry['label'], entry['family'],
                *(number(entry['mAP'].get(thr)
                         and dict(mean=entry['mAP'][thr]['mean']))
                  for thr in thrs), f'**{number(entry)}**',
                number(entry['minus_base'], sign='+'),
                *([f'{gap:.0f} %' if gap is not None else '–']
                  if with_gap else []),
                number(entry['AR@AN'].get('100')),
                number(entry['best_on_test'])
            ])
            costs.append([
                entry['label'],
                str(len(entry['seeds'])),
                str(entry['iteration']),
                *(number(entry['AR@AN'].get(n)) for n in ('1', '5', '10')),
                number(entry['video_acc']), '; '.join(
                    f'{key} {number(value)}'
                    for group in (entry['averages'], entry['other_averages'])
                    for key, value in group.items() if key != average) or '–',
                f'{entry["parameters"] / 1e6:.2f} M',
                number(entry['train_seconds'], 0),
                number(entry['inference_ms']),
                number(entry['peak_memory_mb'], 0)
            ])
            gpu = entry['peak_gpu_memory_mb']
            if gpu:
                costs[-1][-1] += f' + {gpu["mean"]:.0f} on the GPU'
        lines += [f'**{block}**', ''] if block else []
        lines += [*table(head, rows), '']
    for found in report['differences']:
        first, second = (
            report['entries'][found[key]]['label']
            for key in ('first', 'second'))
        lines.append(f'* {first} − {second}, paired by seed: '
                     f'**{number(found, 2, "+")}** (standard error; '
                     f'{len(found["seeds"])} seeds)')
        if found['by_tiou']:
            lines[-1] += '; by tIoU: ' + ', '.join(
                f'{thr} {number(value, 1, "+")}'
                for thr, value in found['by_tiou'].items())
    lines += [''] if report['differences'] else []
    lines += [
        '## Recall, other averages, cost', '', *table([
            'method', 'seeds', 'iterations', 'AR@1', 'AR@5', 'AR@10',
            'video accuracy', 'other averages', 'parameters', 'training (s)',
            'inference (ms/video)', 'peak memory (MB)'
        ], costs), '', '## Columns', '',
        f'* **− {report["base"]}**: mean difference to it, paired by seed, ± '
        'its standard error.'
    ]
    if with_gap:
        labels = [
            report['entries'][report[k]]['label']
            if report[k] in report['entries'] else report[k]
            for k in ('base', 'ceiling')
        ]
        lines.append('* **gap closed**: part of the way from '
                     f'"{labels[0]}" to "{labels[1]}", on common seeds.')
    lines += [
        '* **AR@n**: recall of n proposals per video, whatever their class, '
        'averaged over tIoU 0.50 to 0.95.',
        '* **best on test**: the best of all validations, which are on the '
        'test videos: how much selection would add. Never used elsewhere.',
        '* **other averages**: over other ranges of tIoU, and by other '
        'protocols; "oracle" pairs proposals of no class with the true '
        'classes.',
        '* **training**: iterations alone; **inference**: median over the '
        'videos, one at a time, features in memory, proposals and suppression '
        'included; **peak memory**: resident, of the training process. Times '
        'are wall-clock times beside whatever else the machine does.'
    ]
    lines += [
        f'* {entry["label"]}: {entry["note"]}' for entry in entries
        if entry['note']
    ]
    missing = report['missing'] + [
        f'{name} (seeds {entry["missing_seeds"]})'
        for name, entry in report['entries'].items() if entry['missing_seeds']
    ]
    if missing:
        lines += ['', f'Not finished: {", ".join(missing)}.']
    if report['kept']:
        lines += [
            '', 'Rows of an earlier report, not trained again: ' +
            ', '.join(f'"{report["entries"][name]["label"]}"'
                      for name in report['kept']) + '.'
        ]
    machine, used = report['machine'], report['versions']
    lines += [
        '', f'{machine.get("cpu", "CPU not recorded")}, '
        f'{machine["cpu_count"]} cores, {machine["threads"]} thread per run, '
        f'device {machine["device"]}. ' +
        ', '.join(f'{name} {version}' for name, version in used.items()) + '.',
        '', f'![mean mAP and mAP by tIoU]({report["name"]}.png)', ''
    ]
    return '\n'.join(lines)


def chart(bench: Config, report: Mapping, path: Path) -> None:
    """Bars of the mean average, and mAP by tIoU of a few entries."""
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    entries = [e for _, group in ordered(report) for e in group]
    entries = [entry for entry in entries if entry['average']]
    if not entries:
        return
    few = len(entries) <= 12
    height = 1.5 + 0.36 * max(len(entries), 8)
    figure, all_axes = plt.subplots(
        1,
        1 + few,
        figsize=(15 if few else 8, height),
        squeeze=False,
        layout='constrained')
    colours = dict(
        zip(FAMILIES, ('tab:red', 'tab:orange', 'tab:blue', 'tab:gray')))
    axes = all_axes[0][0]
    for family, colour in colours.items():
        rows = [i for i, e in enumerate(entries) if e['family'] == family]
        if rows:
            axes.barh(
                rows, [entries[i]['mean'] for i in rows],
                xerr=[entries[i]['std'] or np.nan for i in rows],
                color=colour,
                alpha=0.8,
                capsize=3,
                label=family)
    axes.set_yticks(range(len(entries)), [e['label'] for e in entries])
    axes.invert_yaxis()
    for i, entry in enumerate(entries):
        axes.annotate(
            f'{entry["mean"]:.1f}', (entry['mean'] + (entry['std'] or 0), i),
            (5, 0),
            textcoords='offset points',
            va='center')
    axes.margins(x=0.12, y=0.01)
    axes.set_xlabel(f'mAP@{bench.main_metric.partition("@")[2]} (%), '
                    'mean ± std over seeds')
    figure.legend(
        *axes.get_legend_handles_labels(), ncols=4, loc='outside lower left')
    if few:
        axes = all_axes[0][1]
        for entry, marker in zip(entries, 'osD^v<>Pp*Xh'):
            ours = entry is report['entries'].get(bench.ours)
            axes.plot([float(thr) for thr in entry['mAP']],
                      [value['mean'] for value in entry['mAP'].values()],
                      marker=marker,
                      color='tab:red' if ours else None,
                      linewidth=2.5 if ours else 1.3,
                      label=entry['label'])
        axes.set_xlabel('tIoU')
        axes.set_ylabel('mAP (%)')
        axes.grid(alpha=0.3)
        axes.legend(loc='upper left', bbox_to_anchor=(1, 1))
    figure.suptitle(f'{report["name"]}, protocol {report["protocol"]}, seeds '
                    f'{" ".join(map(str, report["seeds"]))}')
    figure.savefig(path, dpi=120)
    plt.close(figure)
