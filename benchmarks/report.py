# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""What a benchmark reports of its runs: numbers and tables."""
from __future__ import annotations

import json
from pathlib import Path
from re import fullmatch
from typing import Any, Iterable, Mapping, Sequence

import numpy as np
from mmengine.config import Config

from mmaction_actiondiff.files import write_text


def mean_std(values: Iterable[float | None]) -> dict | None:
    """Mean and standard deviation of the sample (None for one value) of the
    values that there are; None without any."""
    own = [value for value in values if value is not None]
    if not own:
        return None
    std = float(np.std(own, ddof=1)) if len(own) > 1 else None
    return dict(mean=float(np.mean(own)), std=std)


def paired_difference(first: Mapping[int, float],
                      second: Mapping[int, float]) -> dict | None:
    """Difference of two entries, whose values are given by seed.

    Returns:
        dict, optional: ``seeds`` that both have, ``mean`` of the differences
        and its ``standard_error`` (standard deviation of the sample over
        ``sqrt(n)``; None for one seed). None without a common seed.
    """
    seeds = sorted(first.keys() & second.keys())
    found = mean_std(first[seed] - second[seed] for seed in seeds)
    if found is None:
        return None
    error = found['std'] and found['std'] / len(seeds)**0.5
    return dict(seeds=seeds, mean=found['mean'], standard_error=error)


def share_of_gap(value: Mapping[int, float], base: Mapping[int, float],
                 ceiling: Mapping[int, float]) -> float | None:
    """Part of the gap from base to ceiling that is closed, in percent, by the
    means over the seeds that all three have; None without one, and where the
    ceiling is not above the base."""
    seeds = value.keys() & base.keys() & ceiling.keys()
    own, low, high = (
        np.sum([values[seed] for seed in seeds])
        for values in (value, base, ceiling))
    return float(100 * (own - low) / (high - low)) if high > low else None


def merged(descriptions: Iterable[Mapping]) -> dict[str, Any]:
    """One description of all runs; ``a / b`` shows where they differ.

    A description may itself be one of several runs.
    """
    found: dict[str, dict[str, Any]] = {}
    for description in descriptions:
        for key, value in description.items():
            found.setdefault(key, {}).update(
                dict.fromkeys(str(value).split(' / '), value))
    return {
        key:
        ' / '.join(sorted(texts)) if len(texts) > 1 else texts.popitem()[1]
        for key, texts in found.items()
    }


def summarise(bench: Config,
              results: Mapping[str, Mapping[int, dict]],
              seeds: Sequence[int],
              command: str = '') -> dict:
    """All numbers of the report, for json; see ``docs/benchmark``.

    Args:
        bench (Config): The benchmark.
        results (Mapping): Results of finished runs by entry and seed; no
            entry without a run.
        seeds (Sequence[int]): Those asked for.
        command (str): What makes this report.
    """
    every = [run for runs in results.values() for run in runs.values()]
    protocol: dict = next(
        (run['protocol'] for run in every if run['protocol']), {})
    entries = {
        name: entry_row(bench, name, results[name], seeds)
        for name in bench.entries if name in results
    }
    return dict(
        name=bench.name,
        protocol=bench.protocol,
        protocol_settings=protocol.get('settings'),
        num_videos=protocol.get('num_videos'),
        num_gt=protocol.get('num_gt'),
        main_metric=bench.main_metric,
        command=command,
        iteration='the last one of each config, never chosen on the test set',
        seeds=list(seeds),
        base=bench.base,
        ceiling=bench.ceiling,
        missing=[name for name in bench.entries if name not in entries],
        differences=compare(bench, entries),
        versions=merged(run['versions'] for run in every),
        machine=merged(run['machine'] for run in every),
        entries=entries)


def entry_row(bench: Config, name: str, runs: Mapping[int, dict],
              seeds: Sequence[int]) -> dict:
    """What the runs of one entry have found."""
    entry = bench.entries[name]
    runs = dict(sorted(runs.items()))
    first = next(iter(runs.values()))
    every = [run['metrics'] for run in runs.values()]
    metrics = {
        key: mean_std(own.get(key) for own in every)
        for key in dict.fromkeys(sum(map(list, every), []))
    }

    def pick(pattern: str) -> dict[str, dict | None]:
        """By what follows the last @."""
        return {
            key.rpartition('@')[2]: value
            for key, value in metrics.items() if fullmatch(pattern, key)
        }

    average = [own.get(bench.main_metric) for own in every]
    singles = pick(r'det/mAP@[^:]+')
    return dict(
        family=entry.family,
        label=entry.label,
        note=entry.get('note'),
        config=entry.config.replace('{data}', bench.data),
        seeds=list(runs),
        missing_seeds=[seed for seed in seeds if seed not in runs],
        iteration=first['iteration'],
        average=[value for value in average if value is not None],
        **(mean_std(average) or dict(mean=None, std=None)),
        mAP=singles,
        mAP_by_seed={
            thr: [own.get(f'det/mAP@{thr}') for own in every]
            for thr in singles
        },
        averages=pick(r'det/mAP@.+:.+'),
        video_acc=metrics.get('det/video_acc'),
        other_averages={
            key: value
            for key, value in metrics.items()
            if fullmatch(r'(?!det/).*/mAP@.+:.+', key)
        },
        best_on_test=mean_std(
            max((values[bench.main_metric]
                 for values in run['history'].values()
                 if bench.main_metric in values),
                default=None) for run in runs.values()),
        parameters=first['parameters'],
        **{
            key: mean_std(run.get(key) for run in runs.values())
            for key in ('train_seconds', 'inference_ms', 'peak_memory_mb',
                        'peak_gpu_memory_mb')
        },
        **{'AR@AN': pick(r'proposal/AR@.+')})


def compare(bench: Config, entries: Mapping[str, dict]) -> list[dict]:
    """Relate each row to base and ceiling; the differences asked for."""

    def by_seed(name: str, thr: str | None = None) -> dict[int, float]:
        """The values of an entry's runs, where there are any."""
        row = entries.get(name, dict(seeds=[], average=[], mAP_by_seed={}))
        values = row['mAP_by_seed'].get(thr, ()) if thr else row['average']
        return {
            seed: value
            for seed, value in zip(row['seeds'], values) if value is not None
        }

    for name, row in entries.items():
        own, base = by_seed(name), by_seed(bench.base)
        row['minus_base'] = None
        if name != bench.base:
            row['minus_base'] = paired_difference(own, base)
        row['share_of_gap'] = share_of_gap(own, base, by_seed(bench.ceiling))
    differences = []
    for first, second in bench.compare:
        found = paired_difference(by_seed(first), by_seed(second))
        if found:
            by_tiou = {
                thr:
                paired_difference(by_seed(first, thr), by_seed(second, thr))
                for thr in entries[first]['mAP_by_seed']
                if thr in entries[second]['mAP_by_seed']
            }
            differences.append(
                dict(first=first, second=second, **found, by_tiou=by_tiou))
    return differences


def save(path: str | Path, report: Mapping, text: str) -> None:
    """Write ``path.json`` and ``path.md``, and say so."""
    write_text(f'{path}.json', json.dumps(report, indent=1) + '\n')
    write_text(f'{path}.md', text)
    print(f'Report: {path}.md, .json')


def number(found: Mapping | None, digits: int = 1, sign: str = '') -> str:
    """``mean ± deviation`` of any of the dictionaries above."""
    if not found or found['mean'] is None:
        return '–'
    spread = found.get('standard_error', found.get('std'))
    text = f'{found["mean"]:{sign}.{digits}f}'
    return text if spread is None else f'{text} ± {spread:.{digits}f}'


def table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Lines of markdown, a row for each mapping from heads to cells; a column
    without a value is left out."""
    head = [key for key in rows[0] if {row[key] for row in rows} != {'–'}]
    lines = [head, ['---'] * len(head)]
    lines += [[row[key] for key in head] for row in rows]
    return [f'| {" | ".join(cells)} |' for cells in lines] + ['']


def results_of(entry: Mapping, report: Mapping, thrs: Sequence[str],
               average: str) -> dict[str, str]:
    """Cells of the first table."""
    gap = entry['share_of_gap']
    cells = dict(method=entry['label'], family=entry['family'])
    for thr in thrs:
        found = entry['mAP'].get(thr)
        cells[thr] = number(found and dict(mean=found['mean']))
    cells[f'**{average}**'] = f'**{number(entry)}**'
    cells[f'− {report["base"]}'] = number(entry['minus_base'], sign='+')
    cells['gap closed'] = '–' if gap is None else f'{gap:.0f} %'
    cells['AR@100'] = number(entry['AR@AN'].get('100'))
    cells['best on test (test-selected)'] = number(entry['best_on_test'])
    return cells


def costs_of(entry: Mapping, average: str) -> dict[str, str]:
    """Cells of the second table."""
    others = {**entry['averages'], **entry['other_averages']}
    texts = [f'{k} {number(v)}' for k, v in others.items() if k != average]
    memory = number(entry['peak_memory_mb'], 0)
    if gpu := entry['peak_gpu_memory_mb']:
        memory += f' + {gpu["mean"]:.0f} on the GPU'
    recall = {n: number(entry['AR@AN'].get(n)) for n in ('1', '5', '10')}
    return {
        'method': entry['label'],
        'seeds': str(len(entry['seeds'])),
        'iterations': str(entry['iteration']),
        **{
            f'AR@{n}': text
            for n, text in recall.items()
        }, 'video accuracy': number(entry['video_acc']),
        'other averages': '; '.join(texts) or '–',
        'parameters': f'{entry["parameters"] / 1e6:.2f} M',
        'training (s)': number(entry['train_seconds'], 0),
        'inference (ms/video)': number(entry['inference_ms']),
        'peak memory (MB)': memory
    }


def environment(report: Mapping) -> str:
    """The machine and the versions, in one line."""
    machine = report['machine']
    versions = ', '.join(f'{k} {v}' for k, v in report['versions'].items())
    return (f'{machine.get("cpu", "CPU not recorded")}, '
            f'{machine["cpu_count"]} cores, {machine["threads"]} thread per '
            f'run, device {machine["device"]}. {versions}.')


def markdown(bench: Config, report: Mapping) -> str:
    """The report to read."""
    average = bench.main_metric.partition('@')[2]
    entries = report['entries']
    thrs = bench.get('columns') or list(
        dict.fromkeys(t for entry in entries.values() for t in entry['mAP']))
    lines = [
        f'# Benchmark: {report["name"]}', '',
        f'Protocol `{report["protocol"]}`: {report["num_videos"]} videos, '
        f'{report["num_gt"]} instances. Seeds '
        f'{" ".join(map(str, report["seeds"]))}. Every run is evaluated at '
        'the last iteration of its config. Made by', '', '```bash',
        report['command'], '```', '',
        f'mAP (%) by tIoU, **{average}** their mean ± standard deviation over '
        'the seeds.', ''
    ]
    members = list(entries.values())
    lines += table([results_of(e, report, thrs, average) for e in members])
    for found in report['differences']:
        first, second = (
            entries[found[key]]['label'] for key in ('first', 'second'))
        by_tiou = ', '.join(f'{thr} {number(value, 1, "+")}'
                            for thr, value in found['by_tiou'].items())
        lines.append(f'* {first} − {second}, paired by seed: '
                     f'**{number(found, 2, "+")}** (standard error; '
                     f'{len(found["seeds"])} seeds); by tIoU: {by_tiou}')
    missing = report['missing'] + [
        f'{name} (seeds {entry["missing_seeds"]})'
        for name, entry in entries.items() if entry['missing_seeds']
    ]
    lines += ['', '## Recall, other averages, cost', '']
    lines += table([costs_of(e, average) for e in members])
    lines += ['docs/benchmark/README.md says what the columns are.', '']
    lines += [f'* {e["label"]}: {e["note"]}' for e in members if e['note']]
    if missing:
        lines += ['', f'Not in this report: {", ".join(missing)}.']
    return '\n'.join([*lines, '', environment(report), ''])
