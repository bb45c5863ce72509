"""Measure the speed of training, inference, loading and evaluation.

    python -m benchmarks.speed --threads 2

What is compared runs in turns within one process, so that a busy machine
slows both sides; a ratio is the median over the rounds. Writes OUT.json and
OUT.md.
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

Runs = dict[str, Callable[[], Any]]
Row = dict[str, Any]


class Size(NamedTuple):
    """What is timed: training steps of batches (videos, snippets) of configs;
    inference of videos of ``lengths`` snippets; the loader of ``loader`` with
    so many videos; numbers of detections and of proposals."""
    steps: Sequence[tuple[dict[str, str], int, int]]
    lengths: Sequence[int]
    loader: tuple[str, int]
    detections: Sequence[int]
    proposals: Sequence[int]


def _pair(data: str) -> dict[str, str]:
    return dict(base=f'baselines/base_{data}', ours=f'actiondiff_{data}')


# The first step's models are those of the inference.
FULL = Size([(_pair('thumos14'), 16, 560), (_pair('activitynet13'), 64, 100),
             (_pair('shrec21'), 16, 400),
             (dict(
                 base='baselines/co2net_thumos14',
                 ours='actiondiff_thumos14',
                 compact='actiondiff_thumos14_compact'), 10, 320)],
            (100, 300, 1000, 3000), ('actiondiff_thumos14', 40),
            (20000, 10**6), (200, 1000, 3000))
TINY = Size([(_pair('demo'), 4, 24)], (30, 60), ('actiondiff_demo', 20),
            (500, ), (50, 100))


def race(runs: Runs, rounds: int) -> tuple[Row, Callable[[str, str], float]]:
    """Time calls in turns.

    Returns:
        tuple: Fewest seconds of each, and a function that takes two names and
        returns the ratio of their times.
    """
    timers = {k: Timer('run()', globals=dict(run=v)) for k, v in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, timer in timers.items():
            found = timer.blocked_autorange(min_run_time=0.02)
            times[name].append(found.median)

    def ratio(name: str, other: str) -> float:
        return float(np.median(np.divide(times[name], times[other])))

    return {f'{name} (s)': min(own) for name, own in times.items()}, ratio


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
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-5)

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


def measure_step(size: Size, rounds: int, device: str) -> list[Row]:
    """Every model at every shape, its time over that of the base there."""
    rows = []
    for names, batch, length in size.steps:
        models, runs = {}, {}
        for key, name in names.items():
            cfg = load_config(name)
            models[key] = MODELS.build(cfg.model)
            runs[key] = training_step(models[key],
                                      make_batch(cfg, batch, length, device))
        flops = {key: count_flops(run) / 1e9 for key, run in runs.items()}
        seconds, ratio = race(runs, rounds)
        for key, model in models.items():
            parameters = sum(p.numel() for p in model.parameters())
            rows.append({
                'config': names[key],
                'B': batch,
                'T': length,
                'parameters (M)': parameters / 1e6,
                'GFLOP': flops[key],
                's': seconds[f'{key} (s)'],
                'over base': ratio(key, 'base')
            })
    return rows


def measure_precision(size: Size, rounds: int, device: str) -> list[Row]:
    """Our step on a GPU by arithmetic, and compiled."""
    names, batch, length = size.steps[0]
    cfg = load_config(names['ours'])
    rows = []
    for name in ('fp32', 'tf32', 'bf16', 'bf16, compiled'):
        torch.set_float32_matmul_precision('high' if name ==
                                           'tf32' else 'highest')
        torch.backends.cudnn.allow_tf32 = name == 'tf32'
        model = MODELS.build(cfg.model).to(device)
        if 'compiled' in name:
            model.base_branch.compile()
            model.diffusion_head.denoiser.compile()
        step = training_step(model, make_batch(cfg, batch, length, device),
                             'bf16' in name)
        step()
        seconds, _ = race(dict(step=step), rounds)
        rows.append({'arithmetic': name, 's': seconds['step (s)']})
    torch.set_float32_matmul_precision('highest')
    return rows


@torch.no_grad()
def measure_inference(size: Size, rounds: int, device: str) -> list[Row]:
    """One video at a time, from features to proposals, by sampling steps."""
    cfgs = {key: load_config(name) for key, name in size.steps[0][0].items()}
    models = {
        key: MODELS.build(cfg.model).to(device).eval()
        for key, cfg in cfgs.items()
    }

    def run(batch: Any, steps: int) -> None:
        models['ours'].diffusion_head.num_inference_steps = steps
        models['ours'](*batch, mode='predict')

    rows = []
    for length in size.lengths:
        batch = make_batch(cfgs['ours'], 1, length, device)
        runs: Runs = dict(base=lambda: models['base'](*batch, mode='predict'))
        for steps in (1, 8, 25):
            runs[f'{steps} steps'] = lambda steps=steps: run(batch, steps)
        seconds, ratio = race(runs, rounds)
        share = 1 - ratio('base', '8 steps')
        rows.append({'T': length, **seconds, 'share of diffusion': share})
    return rows


def measure_loader(size: Size, rounds: int, device: str) -> list[Row]:
    """The training loader of a config over generated files of its shape."""
    name, num_videos = size.loader
    cfg = load_config(name)
    loader = cfg.train_dataloader
    with tempfile.TemporaryDirectory() as folder:
        loader.dataset.update(
            type='PlantedActions',
            data_root=str(Path(folder, 'data')),
            dataset_name='generated',
            planted=dict(
                num_classes=cfg.num_classes,
                num_train=num_videos,
                num_test=1,
                num_snippets=(100, 600),
                channels=cfg.in_channels))
        batches = iter(Runner.build_dataloader(loader, seed=0))
        next(batches)
        timer = Timer('next(batches)', globals=dict(batches=batches))
        seconds = timer.timeit(4 * rounds).mean
        del batches
    return [{
        'config': name,
        'workers': loader.num_workers,
        'batches/s': 1 / seconds,
        'videos/s': loader.batch_size / seconds
    }]


def measure_nms(size: Size, rounds: int, device: str) -> list[Row]:
    """Soft-NMS of one class against MMAction2's."""
    from mmaction.models.localizers.utils import soft_nms as upstream
    rng = np.random.default_rng(0)
    rows = []
    for num in size.proposals:
        start = rng.uniform(0, 0.95, num)
        end = np.minimum(start + rng.uniform(0.01, 0.4, num), 1)
        segments, scores = np.stack([start, end], 1), rng.uniform(0.01, 1, num)
        both = np.c_[segments, scores]
        runs: Runs = dict(
            ours=lambda: soft_nms(
                segments, scores, sigma=0.4, tiou_thr=0.5, wide_tiou_thr=0.9),
            MMAction2=lambda: upstream(both, 0.4, 0.5, 0.9, num))
        keep, kept = runs['ours']()
        same = np.array_equal(np.c_[segments[keep], kept], runs['MMAction2']())
        seconds, ratio = race(runs, rounds)
        speedup = ratio('MMAction2', 'ours')
        rows.append({
            'proposals': num,
            **seconds, 'speed-up': speedup,
            'same': str(same)
        })
    return rows


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


def measure_map(size: Size, rounds: int, device: str) -> list[Row]:
    """Average precision at 7 thresholds of made-up detections."""
    rows = []
    for num in size.detections:
        truth, found = make_up(num, num_classes=200)
        seconds, _ = race(
            dict(ours=lambda: average_precision(truth, found, 200,
                                                list(np.arange(1, 8) / 10))),
            rounds)
        rows.append({
            'detections': num,
            'instances': len(truth.labels),
            **seconds
        })
    return rows


PARTS = dict(
    step=('Training step: forward, backward, optimizer', measure_step),
    precision=('Training step on a GPU by arithmetic', measure_precision),
    inference=('Inference: a video from features to proposals, the base alone '
               'and ActionDiff by sampling steps', measure_inference),
    loader=('Loading training batches', measure_loader),
    nms=("Soft-NMS of one class, ours and MMAction2's", measure_nms),
    map=('Average precision of 200 classes at 7 thresholds', measure_map))
_ON_A_DEVICE = ('step', 'precision', 'inference')


def to_markdown(result: dict) -> str:
    """A table of each part, numbers with three digits."""
    where = result['machine']
    text = [
        '# Speed', 'Made by `python -m benchmarks.speed`. '
        f'{where["cpu"]}, {where["cpu_count"]} cores, {where["threads"]} '
        f'threads, device {where["device"]}, PyTorch '
        f'{result["versions"]["torch"]}.'
    ]
    for (part, device), rows in (((p, d), rows)
                                 for p, found in result['parts'].items()
                                 for d, rows in found.items()):
        head = list(rows[0])
        cells = [[row.get(key, '–') for key in head] for row in rows]
        text += [
            f'## {PARTS[part][0]} ({device})', '\n'.join(
                table(head, [[
                    f'{cell:.3g}' if isinstance(cell, float) else str(cell)
                    for cell in row
                ] for row in cells]))
        ]
    return '\n\n'.join(text) + '\n'


def main(argv: Sequence[str] | None = None) -> None:
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
    args = parser.parse_args(argv)
    init_default_scope('mmaction')
    if args.threads:
        torch.set_num_threads(args.threads)
    size = TINY if args.tiny else FULL
    devices = ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']
    parts: dict[str, dict] = {}
    for part in args.parts:
        for device in devices if part in _ON_A_DEVICE else ['cpu']:
            if part != 'precision' or device == 'cuda':
                rows = PARTS[part][1](size, args.rounds, device)
                parts.setdefault(part, {})[device] = rows
    result = dict(machine=machine(), versions=versions(), parts=parts)
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    write(Path(f'{out}.json'), json.dumps(result, indent=1) + '\n')
    write(Path(f'{out}.md'), to_markdown(result))
    print(f'Report: {out}.md, .json')


if __name__ == '__main__':
    main()
