"""Measure the speed of training, inference, loading and evaluation.

    python -m benchmarks.speed --threads 2

What is compared runs in turns within one process, so that a busy machine
slows both sides; a ratio is the median over the rounds. Writes ``OUT.json``
(every number, the ratios under ``ratios``) and ``OUT.md``.
"""
from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any, Callable, NamedTuple, Sequence

import numpy as np
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from mmaction_actiondiff.evaluation import Instances, average_precision
from mmaction_actiondiff.proposals import soft_nms

from . import ROOT
from .benchmark import at_least
from .measure import machine, versions
from .report import table, write

PARTS = ('step', 'inference', 'loader', 'evaluation')
Runs = dict[str, Callable[[], Any]]


class Shape(NamedTuple):
    """Name of a data set, and the batch (videos, snippets) to time."""
    data: str
    batch: int
    length: int


class Size(NamedTuple):
    """What is timed: the training step of ActionDiff beside its base at
    ``shapes``; of ``models`` at ``shape``; inference of videos of
    ``lengths``; detections and proposals to evaluate."""
    shapes: Sequence[Shape]
    shape: Shape
    models: dict[str, str]
    lengths: Sequence[int]
    videos: int
    detections: Sequence[int]
    proposals: Sequence[int]


FULL = Size([
    Shape('thumos14', 16, 560),
    Shape('activitynet13', 64, 100),
    Shape('shrec21', 16, 400)
], Shape('thumos14', 10, 320),
            dict(
                co2net='baselines/co2net_thumos14',
                base='baselines/base_thumos14',
                ours='actiondiff_thumos14',
                compact='actiondiff_thumos14_compact'), (100, 300, 1000, 3000),
            40, (20000, 10**6), (200, 1000, 3000))
TINY = Size([Shape('demo', 4, 24)], Shape('demo', 4, 24),
            dict(
                co2net='baselines/base_demo',
                ours='actiondiff_demo',
                compact='actiondiff_demo'), (30, 60), 4, (500, ), (50, 100))


def race(runs: Runs, rounds: int) -> dict[str, np.ndarray]:
    """Seconds of a call of each in each round, in turns."""
    timers = {
        name: Timer('run()', globals=dict(run=runs[name]))
        for name in runs
    }
    seconds = [{
        name: timer.blocked_autorange(min_run_time=0.02).median
        for name, timer in timers.items()
    } for _ in range(rounds)]
    return {name: np.array([row[name] for row in seconds]) for name in runs}


def ratio(times: dict[str, np.ndarray], name: str, other: str) -> float:
    return float(np.median(times[name] / times[other]))


def load_config(name: str) -> Config:
    return Config.fromfile(ROOT / 'configs' / f'{name}.py')


def make_batch(cfg: Config, batch: int, length: int,
               device: str) -> tuple[Tensor, list[ActionDataSample]]:
    """Noise (batch, D, length) and its labels."""
    inputs = torch.randn(batch, cfg.in_channels, length, device=device)
    samples = []
    for i in range(batch):
        sample = ActionDataSample(
            metainfo=dict(
                video_name=str(i),
                num_snippets=length,
                seconds_per_snippet=cfg.seconds_per_snippet,
                snippet_offset=0.,
                duration=length * cfg.seconds_per_snippet))
        # Neighbours share a class, as the co-activity loss wants it.
        sample.set_gt_label(torch.tensor([i // 2 % cfg.num_classes]))
        samples.append(sample)
    return inputs, samples


def training_step(model: nn.Module,
                  batch: tuple[Tensor, list[ActionDataSample]],
                  autocast: bool = False) -> Callable[[], None]:
    """Forward, backward, optimizer."""
    inputs, samples = batch
    model = model.to(inputs.device).train()
    optimizer = torch.optim.Adam(
        model.parameters(), lr=5e-5, weight_decay=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(
                inputs.device.type, torch.bfloat16, enabled=autocast):
            losses = model(inputs, samples, mode='loss')
        sum(v for k, v in losses.items() if 'loss' in k).backward()
        optimizer.step()

    return step


def count_flops(function: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def measure_step(size: Size, rounds: int, device: str) -> dict:
    """ActionDiff against its base, and against CO2-Net."""
    result: dict[str, Any] = dict(shapes={})
    for shape in size.shapes:
        names = dict(
            base=f'baselines/base_{shape.data}',
            ours=f'actiondiff_{shape.data}')
        runs = {}
        for name, config in names.items():
            cfg = load_config(config)
            batch = make_batch(cfg, shape.batch, shape.length, device)
            runs[name] = training_step(MODELS.build(cfg.model), batch)
        times = race(runs, rounds)
        result['shapes'][shape.data] = dict(
            shape._asdict(),
            seconds={
                k: float(v.min())
                for k, v in times.items()
            },
            diffusion_share=ratio(times, 'ours', 'base') - 1)

    shape, models, runs = size.shape, {}, {}
    for name, config in size.models.items():
        cfg = load_config(config)
        models[name] = MODELS.build(cfg.model)
        batch = make_batch(cfg, shape.batch, shape.length, device)
        runs[name] = training_step(models[name], batch)
    flops = {name: count_flops(run) for name, run in runs.items()}
    times = race(runs, rounds)
    result['models'] = dict(
        shape._asdict(),
        models={
            name:
            dict(
                million_parameters=sum(p.numel()
                                       for p in model.parameters()) / 1e6,
                gflop=flops[name] / 1e9,
                seconds=float(times[name].min()),
                ratio=ratio(times, name, 'co2net'))
            for name, model in models.items()
        })
    if device == 'cuda':
        result['precision'] = measure_precision(size, rounds)
    return result


def measure_precision(size: Size, rounds: int) -> dict[str, float]:
    """Seconds of our step on a GPU by arithmetic, and compiled."""
    cfg = load_config(size.models['ours'])
    batch = make_batch(cfg, size.shape.batch, size.shape.length, 'cuda')
    seconds = {}
    for name in ('fp32', 'tf32', 'bf16', 'bf16_compiled'):
        precision = 'high' if name == 'tf32' else 'highest'
        torch.set_float32_matmul_precision(precision)
        torch.backends.cudnn.allow_tf32 = name == 'tf32'
        model = MODELS.build(cfg.model).cuda()
        if 'compiled' in name:
            model.base_branch.compile()
            model.diffusion_head.denoiser.compile()
        step = training_step(model, batch, autocast='bf16' in name)
        step()
        seconds[name] = float(race({name: step}, rounds)[name].min())
    torch.set_float32_matmul_precision('highest')
    return seconds


@torch.no_grad()
def measure_inference(size: Size, rounds: int, device: str) -> dict:
    """One video at a time, from features to proposals, by sampling steps."""
    cfg = load_config(size.models['ours'])
    base = load_config(f'baselines/base_{size.shape.data}')
    base = MODELS.build(base.model).to(device).eval()
    model = MODELS.build(cfg.model).to(device).eval()

    def run(localizer: nn.Module, batch: Any, steps: int = 0) -> None:
        if steps:
            localizer.diffusion_head.num_inference_steps = steps
        localizer(*batch, mode='predict')

    videos: dict[str, Any] = {}
    for length in size.lengths:
        batch = make_batch(cfg, 1, length, device)
        runs: Runs = dict(base=lambda: run(base, batch))
        for steps in (1, 8, 25):
            runs[f'steps_{steps}'] = lambda s=steps: run(model, batch, s)
        times = race(runs, rounds)
        videos[str(length)] = dict(
            seconds={
                k: float(np.median(v))
                for k, v in times.items()
            },
            diffusion_share=1 - ratio(times, 'base', 'steps_8'))
    return videos


def measure_loader(size: Size, rounds: int,
                   model_seconds: float | None) -> dict:
    """The training loader of a config over generated files of its shape."""
    cfg = load_config(f'actiondiff_{size.shape.data}')
    loader = cfg.train_dataloader
    with tempfile.TemporaryDirectory() as folder:
        loader.dataset.update(
            type='PlantedActions',
            data_root=str(Path(folder, 'data')),
            dataset_name='generated',
            planted=dict(
                num_classes=cfg.num_classes,
                num_train=max(size.videos, loader.batch_size),
                num_test=1,
                num_snippets=(100, 600),
                channels=cfg.in_channels))
        batches = iter(Runner.build_dataloader(loader, seed=0))
        next(batches)
        timer = Timer('next(batches)', globals=dict(batches=batches))
        seconds = timer.timeit(4 * rounds).mean
        del batches
    result = dict(
        workers=loader.num_workers,
        samples_per_second=loader.batch_size / seconds)
    if model_seconds:
        result['loader_over_model'] = model_seconds / seconds
    return result


def make_up(num: int, num_classes: int) -> tuple[Instances, Instances]:
    """Ground truth and detections of a data set of ActivityNet's size: 5000
    videos with 1 or 2 of the classes and 1 to 8 instances."""
    rng = np.random.default_rng(0)
    num_videos = 5000
    classes = rng.integers(0, num_classes, (num_videos, 2))
    videos = np.repeat(np.arange(num_videos), rng.integers(1, 9, num_videos))

    def draw(videos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        start = rng.uniform(0, 110, len(videos))
        length = rng.lognormal(1.5, 1, len(videos))
        labels = classes[videos, rng.integers(0, 2, len(videos))]
        return np.stack([start, start + length], 1), labels

    truth = Instances(videos, *draw(videos))
    videos = rng.integers(0, num_videos, num)
    return truth, Instances(videos, *draw(videos), rng.random(num))


def measure_evaluation(size: Size, rounds: int) -> dict:
    """NMS and average precision against those of MMAction2."""
    from mmaction.models.localizers.utils import soft_nms as upstream_nms
    rng = np.random.default_rng(0)
    nms: dict[str, Any] = {}
    for num in size.proposals:
        start = rng.uniform(0, 0.95, num)
        end = np.minimum(start + rng.uniform(0.01, 0.4, num), 1)
        segments, scores = np.stack([start, end], 1), rng.uniform(0.01, 1, num)
        rows = np.c_[segments, scores]
        options = dict(sigma=0.4, tiou_thr=0.5, wide_tiou_thr=0.9)
        runs: Runs = dict(
            ours=lambda: soft_nms(segments, scores, **options),
            mmaction2=lambda: upstream_nms(rows, 0.4, 0.5, 0.9, num))
        keep, kept = runs['ours']()
        same = np.array_equal(np.c_[segments[keep], kept], runs['mmaction2']())
        times = race(runs, rounds)
        nms[str(num)] = dict(
            seconds={
                k: float(v.min())
                for k, v in times.items()
            },
            speedup=ratio(times, 'mmaction2', 'ours'),
            same_output=bool(same))

    num_classes, thrs = 20, np.arange(1, 8) / 10
    precision: dict[str, Any] = {}
    for num in size.detections:
        truth, found = make_up(num, num_classes)
        runs = dict(
            ours=lambda: average_precision(truth, found, num_classes, thrs))
        if num == size.detections[0]:  # the other one takes its time
            runs['mmaction2'] = activitynet(truth, found, thrs)
        times = race(runs, rounds)
        row = dict(seconds={k: float(v.min()) for k, v in times.items()})
        if 'mmaction2' in runs:
            difference = runs['mmaction2']() - runs['ours']()
            row.update(
                speedup=ratio(times, 'mmaction2', 'ours'),
                largest_difference=float(np.abs(difference).max()))
        precision[str(num)] = row
    return dict(nms=nms, precision=precision)


def activitynet(truth: Instances, found: Instances,
                thrs: np.ndarray) -> Callable[[], np.ndarray]:
    """ActivityNet's evaluator as MMAction2 has it, with its files read."""
    from mmaction.evaluation.functional import ActivityNetLocalization
    database: dict[str, dict] = {}
    results: dict[str, list] = {}
    for video, label, segment in zip(truth.videos, truth.labels,
                                     truth.segments.tolist()):
        # It drops two characters from the names of annotated videos.
        record = database.setdefault(f'v_{video}', dict(annotations=[]))
        record['annotations'].append(dict(label=str(label), segment=segment))
    for video, label, segment, score in zip(found.videos, found.labels,
                                            found.segments.tolist(),
                                            found.scores.tolist()):
        results.setdefault(str(video), []).append(
            dict(label=str(label), segment=segment, score=score))
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ('truth', 'found')]
        for path, content in zip(paths, (database, dict(results=results))):
            path.write_text(json.dumps(content))
        evaluator = ActivityNetLocalization(*map(str, paths), thrs)
    index = evaluator.activity_index
    columns = [index[str(i)] for i in range(len(index))]

    def run() -> np.ndarray:
        evaluator.evaluate()
        return evaluator.ap[:, columns]

    return run


# -- Report -------------------------------------------------------------------


def collect_ratios(result: dict) -> dict[str, float]:
    """The numbers to look at first; those of the CPU."""
    ratios = {}
    if 'step' in result:
        step = result['step']['cpu']
        models = step['models']['models']
        ratios.update(
            step_vs_co2=models['ours']['ratio'],
            compact_step_vs_co2=models['compact']['ratio'],
            diffusion_share_of_step=next(iter(
                step['shapes'].values()))['diffusion_share'])
    if 'inference' in result:
        ratios['diffusion_share_of_inference'] = max(
            row['diffusion_share']
            for row in result['inference']['cpu'].values())
    if 'loader_over_model' in result.get('loader', {}):
        ratios['loader_over_model'] = result['loader']['loader_over_model']
    if 'evaluation' in result:
        evaluation = result['evaluation']
        ratios.update(
            nms_speedup=list(evaluation['nms'].values())[-1]['speedup'],
            evaluator_speedup=next(iter(
                evaluation['precision'].values()))['speedup'])
    return ratios


def rounded(head: list[str], rows: list[list]) -> str:
    """A table of numbers with three digits."""
    cells = [[
        f'{cell:.3g}' if isinstance(cell, float) else str(cell) for cell in row
    ] for row in rows]
    return '\n'.join(table(head, cells))


def to_markdown(result: dict) -> str:
    where = result['machine']
    text = [
        '# Speed', 'Made by `python -m benchmarks.speed`; all numbers are in '
        f'the json beside it. {where["cpu"]}, {where["cpu_count"]} cores, '
        f'{where["threads"]} threads, device {where["device"]}, PyTorch '
        f'{result["versions"]["torch"]}.',
        rounded(['ratio', 'value'],
                [[f'`{k}`', v] for k, v in result['ratios'].items()])
    ]
    for device, step in result.get('step', {}).items():
        models = step['models']
        text += [
            f'## Training step ({device})',
            'Forward, backward and optimizer; the last column is what the '
            'diffusion adds to the base branch.',
            rounded(['data', 'B', 'T', 'base (s)', 'ours (s)', 'share'], [[
                *list(row.values())[:3], *row['seconds'].values(),
                row['diffusion_share']
            ] for row in step['shapes'].values()]),
            f'Against CO2-Net (B={models["batch"]}, T={models["length"]}).',
            rounded(['model', 'parameters (M)', 'GFLOP', 's', 'ratio'],
                    [[name, *row.values()]
                     for name, row in models['models'].items()])
        ]
        if 'precision' in step:
            text.append(
                rounded(['arithmetic', 's'],
                        [list(row) for row in step['precision'].items()]))
    for device, videos in result.get('inference', {}).items():
        names = list(next(iter(videos.values()))['seconds'])
        text += [
            f'## Inference ({device})',
            'Milliseconds per video from features to proposals, of the base '
            'branch alone and of ActionDiff with 1, 8 and 25 sampling steps; '
            'the share is what all but the base takes with 8.',
            rounded(['T', *names, 'share'], [[
                length, *(1e3 * row['seconds'][name]
                          for name in names), row['diffusion_share']
            ] for length, row in videos.items()])
        ]
    if 'loader' in result:
        loader = result['loader']
        text += ['## Loader', rounded(list(loader), [list(loader.values())])]
    if 'evaluation' in result:
        evaluation = result['evaluation']
        text += [
            '## Evaluation', "Soft-NMS of one class against MMAction2's.",
            rounded(
                ['proposals', 'ours (s)', 'MMAction2 (s)', 'speed-up', 'same'],
                [[
                    num, *row['seconds'].values(), row['speedup'],
                    row['same_output']
                ] for num, row in evaluation['nms'].items()]),
            "Average precision at 7 thresholds, against MMAction2's copy of "
            "ActivityNet's evaluator.",
            rounded([
                'detections', 'ours (s)', 'MMAction2 (s)', 'speed-up',
                'largest difference'
            ], [[
                num, row['seconds']['ours'], row['seconds'].get(
                    'mmaction2', '–'),
                row.get('speedup', '–'),
                row.get('largest_difference', '–')
            ] for num, row in evaluation['precision'].items()])
        ]
    return '\n\n'.join(text) + '\n'


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.speed',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--parts', nargs='+', choices=PARTS, default=list(PARTS))
    parser.add_argument('--out', default='work_dirs/speed')
    parser.add_argument(
        '--threads', type=at_least(1), help='of torch on the CPU')
    parser.add_argument('--rounds', type=at_least(1), default=5)
    parser.add_argument(
        '--tiny',
        action='store_true',
        help='small shapes: checks the tool, measures nothing of interest')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    init_default_scope('mmaction')
    if args.threads:
        torch.set_num_threads(args.threads)
    size, rounds = TINY if args.tiny else FULL, args.rounds
    devices = ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']
    result: dict[str, Any] = dict(machine=machine(), versions=versions())
    seconds = None
    if 'step' in args.parts:
        result['step'] = {d: measure_step(size, rounds, d) for d in devices}
        shapes = result['step'][devices[-1]]['shapes']
        seconds = shapes[size.shape.data]['seconds']['ours']
    if 'inference' in args.parts:
        result['inference'] = {
            d: measure_inference(size, rounds, d)
            for d in devices
        }
    if 'loader' in args.parts:
        result['loader'] = measure_loader(size, rounds, seconds)
    if 'evaluation' in args.parts:
        result['evaluation'] = measure_evaluation(size, rounds)
    result['ratios'] = collect_ratios(result)
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    write(Path(f'{out}.json'), json.dumps(result, indent=1) + '\n')
    write(Path(f'{out}.md'), to_markdown(result))
    print(f'Report: {out}.md, .json')


if __name__ == '__main__':
    main()
