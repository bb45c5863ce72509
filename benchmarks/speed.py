# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Measure the speed of training steps beside the base's.

    python -m benchmarks.speed --threads 2

Everything runs in turns within one process, so that a busy machine slows all
alike; a ratio is the median over the rounds. Writes OUT.json and OUT.md.
"""
from __future__ import annotations

from typing import Any, Callable, Sequence

import numpy as np
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from torch import Tensor, nn
from torch.utils.benchmark import Timer

from mmaction_actiondiff import cli

from . import ROOT
from .report import save, table
from .run import machine, versions

# Training steps of configs, the first of which is the base, on batches of so
# many videos and snippets.
STEPS = [
    (('baselines/base_thumos14', 'actiondiff_thumos14'), 16, 560),
    (('baselines/base_activitynet13', 'actiondiff_activitynet13'), 64, 100),
    (('baselines/base_shrec21', 'actiondiff_shrec21'), 16, 400),
    (('baselines/co2net_thumos14', 'actiondiff_thumos14',
      'actiondiff_thumos14_compact'), 10, 320),
]


def race(runs: dict[str, Callable[[], Any]],
         rounds: int) -> dict[str, tuple[float, float]]:
    """Time calls in turns: fewest seconds of each, and its time over that of
    the first."""
    timers = [Timer('run()', globals=dict(run=run)) for run in runs.values()]
    times = np.array([[
        timer.blocked_autorange(min_run_time=0.02).median for timer in timers
    ] for _ in range(rounds)])
    ratios = np.median(times / times[:, :1], axis=0)
    return dict(zip(runs, zip(times.min(0).tolist(), ratios.tolist())))


def load(name: str) -> tuple[Config, nn.Module]:
    """A config and its model."""
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    return cfg, MODELS.build(cfg.model).to(get_device())


def make_batch(cfg: Config, batch: int,
               length: int) -> tuple[Tensor, list[ActionDataSample]]:
    """Noise (batch, D, length) and its labels."""
    inputs = torch.randn(batch, cfg.in_channels, length, device=get_device())
    samples = []
    for i in range(batch):
        sample = ActionDataSample(
            metainfo=dict(video_name=str(i), num_snippets=length))
        # Neighbours share a class, as the co-activity loss wants it.
        sample.set_gt_label(torch.tensor([i // 2 % cfg.num_classes]))
        samples.append(sample)
    return inputs, samples


def complexity(model: nn.Module, inputs: Tensor) -> dict[str, float]:
    """Parameters, and floating-point operations of one forward pass."""
    found = get_model_complexity_info(
        model, inputs=inputs, show_table=False, show_arch=False)
    return {
        'parameters (M)': found['params'] / 1e6,
        'GFLOP (forward)': found['flops'] / 1e9
    }


def training_step(model: nn.Module, inputs: Tensor,
                  samples: list[ActionDataSample]) -> Callable[[], None]:
    """Forward, backward, optimizer."""
    optimizer = torch.optim.Adam(model.train().parameters(), lr=5e-5)

    def step() -> None:
        optimizer.zero_grad()
        losses = model(inputs, samples, mode='loss')
        sum(v for k, v in losses.items() if 'loss' in k).backward()
        optimizer.step()

    return step


def measure_step(rounds: int) -> list[dict]:
    """Every model at every shape, its time over that of the base there."""
    rows = []
    for names, batch, length in STEPS:
        counts, runs = {}, {}
        for name in names:
            cfg, model = load(name)
            data = make_batch(cfg, batch, length)
            counts[name] = complexity(model, data[0])
            runs[name] = training_step(model, *data)
        rows += [{
            'config': name,
            'B': batch,
            'T': length,
            **counts[name], 's': seconds,
            'over base': ratio
        } for name, (seconds, ratio) in race(runs, rounds).items()]
    return rows


def to_markdown(result: dict) -> str:
    """The table, numbers with three digits."""
    where = result['machine']
    return '\n'.join([
        '# Speed', '', 'A training step: forward, backward, optimizer. Made '
        f'by `python -m benchmarks.speed`. {where["cpu"]}, '
        f'{where["cpu_count"]} cores, {where["threads"]} threads, device '
        f'{where["device"]}, PyTorch {result["versions"]["torch"]}.', '',
        *table([{
            key: f'{cell:.3g}' if isinstance(cell, float) else str(cell)
            for key, cell in row.items()
        } for row in result['parts']['step']])
    ])


def main(argv: Sequence[str] | None = None) -> None:
    parser = cli.make_parser(__doc__)
    add = parser.add_argument
    add('--out', default='work_dirs/speed')
    add('--threads', type=cli.at_least(1), help='of torch on the CPU')
    add('--rounds', type=cli.at_least(1), default=5)
    args = parser.parse_args(argv)
    with cli.command():
        cli.check_output(f'{args.out}.md')
        init_default_scope('mmaction')
        if args.threads:
            torch.set_num_threads(args.threads)
        result = dict(
            machine=machine(),
            versions=versions(),
            parts=dict(step=measure_step(args.rounds)))
        save(args.out, result, to_markdown(result))


if __name__ == '__main__':
    main()
