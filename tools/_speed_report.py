"""What tools/benchmark_speed.py writes: the ratios and the tables."""
from __future__ import annotations

from _benchmark_report import table as plain_table


def collect_ratios(result: dict) -> dict[str, float]:
    """The numbers to look at first; those of the CPU."""
    ratios = {}
    if 'step' in result:
        step = result['step']['cpu']
        models = step['yardstick']['models']
        ratios.update(
            step_vs_co2=models['ours']['ratio'],
            compact_step_vs_co2=models['compact']['ratio'],
            diffusion_share_of_step=step['thumos14']['diffusion_share'],
            utilisation=models['ours']['utilisation'])
    if 'inference' in result:
        inference = result['inference']['cpu']
        videos = inference['videos'].values()
        ratios.update(
            sampling_share_of_inference=max(v['sampling_share']
                                            for v in videos),
            proposal_share_of_inference=max(v['proposal_share']
                                            for v in videos),
            peak_mib=max(v['peak_mib'] for v in videos),
            batching_speedup=inference['batching']['thumos14']['speedup'],
            random_batching_speedup=inference['batching']['thumos14']
            ['random_speedup'],
            shrec21_batching_speedup=inference['batching']['shrec21']
            ['speedup'])
    if 'loader' in result:
        ratios['loader_over_model'] = result['loader']['loader_over_model']
    if 'evaluation' in result:
        evaluation = result['evaluation']
        ratios.update(
            nms_speedup=list(evaluation['nms'].values())[-1]['speedup'],
            evaluator_speedup=evaluation['evaluator']['speedup']
            ['activitynet'])
    return ratios


def table(head: list[str], rows: list[list]) -> str:
    """A table of numbers with three digits."""
    cells = [[
        f'{cell:.3g}' if isinstance(cell, float) else str(cell) for cell in row
    ] for row in rows]
    return '\n'.join(plain_table(head, cells))


def to_markdown(result: dict) -> str:
    text = [
        '# Speed', 'Made by `tools/benchmark_speed.py`; all numbers are in '
        f"the json beside it. {result['machine']}.",
        table(['ratio', 'value'],
              [[f'`{k}`', v] for k, v in result['ratios'].items()])
    ]
    for device, step in result.get('step', {}).items():
        text += [
            f'## Training step ({device})',
            'Forward, backward and optimizer; the last column is what the '
            'diffusion adds to the base branch.',
            table(['shape', 'B', 'T', 'base (s)', 'ours (s)', 'share'], [[
                name, s['batch'], s['length'], s['seconds']['base'],
                s['seconds']['ours'], s['diffusion_share']
            ] for name, s in step.items() if 'diffusion_share' in s])
        ]
        yardstick = step['yardstick']
        text += [
            'Against the network of CO2-Net as published, with its losses '
            f"and optimizer (B={yardstick['batch']}, "
            f"T={yardstick['length']}); the machine multiplies matrices at "
            f"{yardstick['peak_gflops']:.0f} GFLOP/s.",
            table([
                'model', 'parameters (M)', 'GFLOP', 's', 'ratio', 'utilisation'
            ], [[name, *row.values()]
                for name, row in yardstick['models'].items()])
        ]
        if 'precision' in step:
            text.append(
                table(['arithmetic', 's'],
                      [list(row) for row in step['precision'].items()]))
    for device, inference in result.get('inference', {}).items():
        rows = inference['videos'].items()
        names = list(next(iter(inference['videos'].values()))['seconds'])
        text += [
            f'## Inference ({device})',
            'Milliseconds per video; `proposals` holds `candidates` and '
            '`nms`. The shares are those of 8 sampling steps and of the '
            'proposals in base + condition + sampling + proposals.',
            table([
                'T', *names, 'sampling share', 'proposal share',
                'peak memory (MiB)'
            ], [[
                length, *(1e3 * row['seconds'][name] for name in names),
                row['sampling_share'], row['proposal_share'], row['peak_mib']
            ] for length, row in rows]),
            'Time per snippet of the longest video over the next: ' +
            ', '.join(f'{k} {v:.2f}'
                      for k, v in inference['growth_over_linear'].items()) +
            '.', 'Batches in the order of the test loader (`LengthSampler`) '
            'and at random: times as fast as one by one, the share of padding '
            'in brackets, and the largest difference of a logit.',
            table(['shape', 'B', 'by length', 'random', 'difference'], [[
                name, row['batch'],
                *(f"{row[key]:.2f} ({padding:.0%})" for key, padding in (
                    ('speedup', row['padding']['by_length']),
                    ('random_speedup', row['padding']['random']))),
                f"{row['largest_difference']:.1e}"
            ] for name, row in inference['batching'].items()])
        ]
    if 'loader' in result:
        loader = result['loader']
        text += [
            '## Loader', f"{loader['workers']} workers; the model consumes "
            f"{loader['model_samples_per_second']:.1f} samples/s.",
            table([
                'videos', 'first batch (s)', 'samples/s',
                'growth of the main process (MiB)'
            ], [[num, *row.values()] for num, row in loader['videos'].items()])
        ]
    if 'evaluation' in result:
        evaluation = result['evaluation']
        judge = evaluation['evaluator']
        text += [
            '## Evaluation', 'Soft-NMS of one class against MMAction2\'s.',
            table(['proposals', 'ours (s)', 'theirs (s)', 'speed-up', 'same'],
                  [[
                      num, *row['seconds'].values(), row['speedup'],
                      row['same_output']
                  ] for num, row in evaluation['nms'].items()]),
            f"Average precision of {judge['detections']} detections at 7 "
            f"thresholds: {judge['seconds']['ours']:.3g} s.",
            table(['evaluator', 's', 'speed-up', 'largest difference'], [[
                name, judge['seconds'][name], judge['speedup'][name],
                judge['largest_difference'][name]
            ] for name in judge['speedup']])
        ]
    return '\n\n'.join(text) + '\n'
