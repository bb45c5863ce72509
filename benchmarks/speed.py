"""Measure the speed of training, inference, loading and judging, as ratios.

    python tools/benchmark_speed.py --threads 2

What is compared runs in turns within one process, so that a busy machine
slows both sides; a ratio is the median over the rounds. Writes ``OUT.json``
(every number, the ratios under ``ratios``) and ``OUT.md``.

The yardstick of the training step is the network of F.-T. Hong et al.
(CO2-Net, ACM MM 2021) as published: 34.1 million parameters that take part.
"""
from __future__ import annotations

import argparse
import copy
import ctypes
import importlib.util
import json
import os
import platform
import re
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, NamedTuple

import benchmark_evaluation
import numpy as np
import torch
from _speed_report import collect_ratios, to_markdown
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmaction_actiondiff.datasets import LengthSampler
from mmaction_actiondiff.evaluation import Instances, average_precision
from mmaction_actiondiff.hooks import keep_freed_memory
from mmaction_actiondiff.models.branches.base import BaseBranch, BranchOutput
from mmaction_actiondiff.models.mask_generator import PseudoMask
from mmaction_actiondiff.proposals import ProposalGenerator, soft_nms

ROOT = Path(__file__).resolve().parents[1]
PARTS = ('step', 'inference', 'loader', 'evaluation')
SLOPE = 0.2


class Shape(NamedTuple):
    """A config, and the batch (videos, snippets) to time it with."""

    config: str
    batch: int
    length: int


SHAPES = dict(
    thumos14=Shape('actiondiff_thumos14', 16, 560),
    activitynet13=Shape('actiondiff_activitynet13', 64, 100),
    shrec21=Shape('actiondiff_shrec21', 16, 400))
PAPER = Shape('actiondiff_thumos14', 10, 320)


class Loader(NamedTuple):
    """A config, and the batch size and video lengths to test it with."""

    config: str
    batch: int
    lengths: Callable[[np.random.Generator], np.ndarray]


# 213 test videos of THUMOS14 last 26 s to half an hour, 72 recordings of
# SHREC'21 hold 156 to 483 snippets.
LOADERS = dict(
    thumos14=Loader(
        'actiondiff_thumos14', 4, lambda rng: np.clip(
            rng.lognormal(np.log(250), 0.8, 213), 40, 2800).astype(int)),
    shrec21=Loader('actiondiff_shrec21', 8,
                   lambda rng: rng.integers(156, 484, 72)))


class PaperGate(nn.Module):
    """Gate and attention of one stream, with every layer of the paper.

    Ours (``ConsensusGate``, ``StreamAttention``) leaves out activation and
    dropout of the gates and the taps that only ever see padding.
    """

    def __init__(self, channels: int, attention_channels: int) -> None:
        super().__init__()

        def gate(in_channels: int, out_channels: int) -> list[nn.Module]:
            return [
                nn.Conv1d(in_channels, out_channels, 3, padding=1),
                nn.LeakyReLU(SLOPE),
                nn.Dropout(0.5)
            ]

        self.pooled = nn.Sequential(*gate(channels, channels))
        self.local = nn.Sequential(*gate(channels, channels))
        self.attention = nn.Sequential(
            *gate(channels, attention_channels),
            *gate(attention_channels, attention_channels)[:2],
            nn.Conv1d(attention_channels, 1, 1), nn.Dropout(0.5), nn.Sigmoid())

    def forward(self, main: Tensor, support: Tensor) -> tuple[Tensor, Tensor]:
        gate = self.pooled(main.mean(-1, keepdim=True)) * self.local(support)
        main = gate.sigmoid() * main
        return main, self.attention(main)


class PaperBranch(BaseBranch):
    """The published network, without the one layer that it never uses."""

    def __init__(self, num_classes: int, channels: int,
                 attention_channels: int) -> None:
        super().__init__()
        embed_channels = 2 * channels
        self.embed_channels = embed_channels
        self.rgb = PaperGate(channels, attention_channels)
        self.flow = PaperGate(channels, attention_channels)
        self.fuse = nn.Sequential(
            nn.Conv1d(embed_channels, embed_channels, 1), nn.LeakyReLU(SLOPE),
            nn.Dropout(0.7))
        self.classifier = nn.Sequential(
            nn.Dropout(0.7),
            nn.Conv1d(embed_channels, embed_channels, 3, padding=1),
            nn.LeakyReLU(SLOPE), nn.Dropout(0.7),
            nn.Conv1d(embed_channels, num_classes + 1, 1))

    def forward(self, inputs: Tensor, valid: Tensor) -> BranchOutput:
        rgb, flow = inputs.chunk(2, 1)
        (rgb, rgb_attention), (flow, flow_attention) = (self.rgb(rgb, flow),
                                                        self.flow(flow, rgb))
        feature = self.fuse(torch.cat([rgb, flow], 1))
        return BranchOutput(feature, self.classifier(feature),
                            (rgb_attention + flow_attention) / 2,
                            (rgb_attention, flow_attention))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--parts', nargs='+', choices=PARTS, default=list(PARTS))
    parser.add_argument('--out', default='docs/benchmark/speed')
    parser.add_argument('--threads', type=int, help='of torch on the CPU')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument(
        '--tiny',
        action='store_true',
        help='small shapes: checks the tool, measures nothing of interest')
    return parser.parse_args(argv)


def clock(function: Callable[[], Any], device: str = 'cpu') -> float:
    """Seconds of one call, with what it left to the GPU."""
    if device == 'cuda':
        torch.cuda.synchronize()
    start = time.perf_counter()
    function()
    if device == 'cuda':
        torch.cuda.synchronize()
    return time.perf_counter() - start


def race(runs: dict[str, Callable[[], Any]],
         rounds: int,
         device: str = 'cpu') -> dict[str, np.ndarray]:
    """Seconds of each in each round, after one round to warm up."""
    seconds = [{
        name: clock(run, device)
        for name, run in runs.items()
    } for _ in range(rounds + 1)][1:]
    return {name: np.array([s[name] for s in seconds]) for name in runs}


def ratio(times: dict[str, np.ndarray], name: str, other: str) -> float:
    return float(np.median(times[name] / times[other]))


def best(function: Callable[[], Any], rounds: int) -> float:
    return min(clock(function) for _ in range(rounds))


def load_config(name: str, tiny: bool) -> Config:
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py')
    if tiny:
        cfg.model.stream_channels = [8, 8]
        cfg.model.base_branch.embed_channels = 16
        if cfg.model.base_branch.type == 'CrossModalBranch':
            cfg.model.base_branch.attention_channels = 8
        cfg.model.condition.condition_channels = 8
        cfg.model.diffusion_head.denoiser = dict(channels=16, num_layers=2)
    return cfg


def build(cfg: Config, base: Any = False) -> nn.Module:
    """The model of a config, or a base branch trained with its losses."""
    model = copy.deepcopy(cfg.model)
    if base:
        keep = ('num_classes', 'stream_channels', 'base_branch', 'loss',
                'proposal_generator')
        model = {key: model[key] for key in keep}
        model['type'] = 'WeakLocalizer'
        if isinstance(base, dict):
            del model['stream_channels']
            model['base_branch'] = base
    return MODELS.build(model)


def make_batch(cfg: Config, shape: Shape,
               device: str) -> tuple[Tensor, list[ActionDataSample]]:
    inputs = torch.randn(
        shape.batch,
        sum(cfg.model.stream_channels),
        shape.length,
        device=device)
    samples = []
    for i in range(shape.batch):
        sample = ActionDataSample(
            metainfo=dict(
                video_name=str(i),
                num_snippets=shape.length,
                seconds_per_snippet=cfg.seconds_per_snippet,
                duration=shape.length * cfg.seconds_per_snippet))
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


def million(model: nn.Module) -> float:
    return sum(p.numel() for p in model.parameters()) / 1e6


def shrink(shape: Shape, tiny: bool) -> Shape:
    return shape._replace(batch=4, length=24) if tiny else shape


def measure_step(args: argparse.Namespace, device: str) -> dict:
    """Ours against its base, and against the published network."""
    result: dict[str, Any] = {}
    keep_freed_memory()  # as the training configs do
    for name, shape in SHAPES.items():
        shape = shrink(shape, args.tiny)
        cfg = load_config(shape.config, args.tiny)
        batch = make_batch(cfg, shape, device)
        times = race(
            dict(
                base=training_step(build(cfg, base=True), batch),
                ours=training_step(build(cfg), batch)), args.rounds, device)
        result[name] = dict(
            shape._asdict(),
            seconds={
                k: float(v.min())
                for k, v in times.items()
            },
            diffusion_share=ratio(times, 'ours', 'base') - 1)

    shape = shrink(PAPER, args.tiny)
    cfg = load_config(PAPER.config, args.tiny)
    compact = load_config('actiondiff_thumos14_compact', args.tiny)
    batch = make_batch(cfg, shape, device)
    rgb = cfg.model.stream_channels[0]
    models = dict(
        paper=build(
            cfg,
            base=dict(
                type=PaperBranch, channels=rgb, attention_channels=rgb // 2)),
        base=build(cfg, base=True),
        ours=build(cfg),
        compact=build(compact))
    runs = {k: training_step(model, batch) for k, model in models.items()}
    flops = {k: count_flops(run) for k, run in runs.items()}
    size = 64 if args.tiny else 2048 if device == 'cpu' else 8192
    matrix = torch.randn(size, size, device=device)
    times = race(
        dict(runs, matmul=lambda: matrix @ matrix), args.rounds, device)
    peak = 2 * size**3 / times['matmul']
    side_by_side = {
        name:
        dict(
            million_parameters=million(models[name]),
            gflop=flops[name] / 1e9,
            seconds=float(times[name].min()),
            ratio=ratio(times, name, 'paper'),
            utilisation=float(np.median(flops[name] / times[name] / peak)))
        for name in runs
    }
    result['yardstick'] = dict(
        shape._asdict(),
        peak_gflops=float(peak.max() / 1e9),
        models=side_by_side)
    if device == 'cuda':
        result['precision'] = measure_precision(args, cfg, shape)
    keep_freed_memory(False)
    return result


def measure_precision(args: argparse.Namespace, cfg: Config,
                      shape: Shape) -> dict[str, float]:
    """Seconds of our step on a GPU by arithmetic, and compiled."""
    batch = make_batch(cfg, shape, 'cuda')
    seconds = {}
    for name in ('fp32', 'tf32', 'bf16', 'bf16_compiled'):
        torch.set_float32_matmul_precision('high' if name ==
                                           'tf32' else 'highest')
        torch.backends.cudnn.allow_tf32 = name == 'tf32'
        model = build(cfg).cuda()
        if 'compiled' in name:
            model.base_branch.compile()
            model.diffusion_head.denoiser.compile()
        step = training_step(model, batch, autocast='bf16' in name)
        step()
        seconds[name] = float(
            race({name: step}, args.rounds, 'cuda')[name].min())
    torch.set_float32_matmul_precision('highest')
    return seconds


def smooth_scores(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Curves in [0, 1] that rise and fall as scores do, (..., T)."""
    noise = rng.normal(size=shape)
    window = np.hanning(min(17, shape[-1]))
    curves = np.apply_along_axis(np.convolve, -1, noise, window, 'same')
    return 1 / (1 + np.exp(-2 * curves))


@torch.no_grad()
def measure_inference(args: argparse.Namespace, device: str) -> dict:
    """One video through each part, and a batch of different lengths."""
    cfg = load_config(PAPER.config, args.tiny)
    model = build(cfg).to(device).eval()
    lengths = (30, 60) if args.tiny else (100, 300, 1000, 3000)
    steps = (1, 8) if args.tiny else (1, 4, 8, 25)
    rng = np.random.default_rng(0)
    generator = model.proposal_generator
    settings = {**cfg.model.proposal_generator}
    settings.pop('type')
    candidates = ProposalGenerator(**{
        **settings, 'nms': None,
        'max_per_video': None
    })
    videos: dict[str, Any] = {}
    for length in lengths:
        inputs = torch.randn(
            1, sum(cfg.model.stream_channels), length, device=device)
        valid = torch.ones(1, 1, length, dtype=torch.bool, device=device)
        branch = model.base_branch(inputs, valid)
        label = model.predict_labels(model.video_score(branch, valid))
        pseudo = model.mask_generator(branch.snippet_score(), label, valid)

        def conditioned(inputs: Tensor = inputs,
                        branch: BranchOutput = branch,
                        pseudo: PseudoMask = pseudo,
                        label: Tensor = label,
                        valid: Tensor = valid) -> Tensor:
            return model.guide(inputs, branch, pseudo, label, valid)

        condition = conditioned()
        curves = (smooth_scores(rng, cfg.num_classes,
                                length), smooth_scores(rng, length),
                  np.r_[0.9, 0.5, np.full(cfg.num_classes - 2, 0.01)],
                  cfg.seconds_per_snippet)
        runs: dict[str, Callable[[], Any]] = dict(
            base=lambda: model.base_branch(inputs, valid),
            condition=conditioned,
            candidates=lambda: candidates(*curves),
            proposals=lambda: generator(*curves))
        runs.update({
            f'sampling_{n}':
            lambda n=n: model.diffusion_head.sample(
                condition, valid, num_inference_steps=n)
            for n in steps
        })
        _, samples = make_batch(cfg, Shape('', 1, length), device)
        memory = peak_growth(lambda: model.predict(inputs, samples), device)
        times = race(runs, args.rounds, device)
        row = {name: float(np.median(t)) for name, t in times.items()}
        row['nms'] = max(row['proposals'] - row['candidates'], 0.)
        total = (
            times['base'] + times['condition'] + times['sampling_8'] +
            times['proposals'])
        videos[str(length)] = dict(
            seconds=row,
            peak_mib=memory,
            sampling_share=float(np.median(times['sampling_8'] / total)),
            proposal_share=float(np.median(times['proposals'] / total)))

    seconds = [videos[str(n)]['seconds'] for n in lengths[-2:]]
    growth = {
        name: seconds[1][name] / seconds[0][name] / (lengths[-1] / lengths[-2])
        for name in ('base', 'sampling_8')
    }
    return dict(
        videos=videos,
        growth_over_linear=growth,
        batching={
            name: measure_batching(args, loader, device)
            for name, loader in LOADERS.items()
        })


class Lengths:
    """What :class:`LengthSampler` asks of a data set."""

    def __init__(self, lengths: np.ndarray) -> None:
        self.lengths = lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def get_data_info(self, index: int) -> dict:
        return dict(duration=float(self.lengths[index]))


@torch.no_grad()
def measure_batching(args: argparse.Namespace, loader: Loader,
                     device: str) -> dict:
    """Batches by length and at random against the videos one by one.

    Some batches of a pass over the test set stand for all of them.
    """
    rng = np.random.default_rng(0)
    cfg = load_config(loader.config, args.tiny)
    model = build(cfg).to(device).eval()
    lengths = loader.lengths(rng)
    order = np.array(list(LengthSampler(Lengths(lengths))))
    full = order[:len(order) // loader.batch * loader.batch]
    batches = full.reshape(-1, loader.batch)
    batches = batches[len(batches) // 8::len(batches) // 4]
    if args.tiny:
        batches = batches[-2:]
    ways = dict(
        alone=batches.reshape(-1, 1),
        by_length=batches,
        random=rng.permutation(batches.ravel()).reshape(batches.shape))

    def load(videos: np.ndarray) -> tuple[Tensor, list[ActionDataSample]]:
        inputs, samples = make_batch(
            cfg, Shape('', len(videos), int(lengths[videos].max())), device)
        for x, sample, length in zip(inputs, samples, lengths[videos]):
            x[:, length:] = 0
            sample.set_metainfo(dict(num_snippets=int(length)))
        return inputs, samples

    def work(loaded: list) -> Callable[[], None]:

        def run() -> None:
            for inputs, samples in loaded:
                model.localize(inputs, samples)

        return run

    inputs, samples = load(ways['random'][0])
    together = model.localize(inputs, samples)[0].cas
    gap = 0.
    for x, sample, cas in zip(inputs, samples, together):
        length = sample.num_snippets
        alone = model.localize(x[None, :, :length], [sample])[0].cas[0]
        gap = max(gap, float((cas[:, :length] - alone).abs().max()))
    times = race({
        k: work([load(v) for v in way])
        for k, way in ways.items()
    }, args.rounds, device)
    return dict(
        batch=loader.batch,
        speedup=ratio(times, 'alone', 'by_length'),
        random_speedup=ratio(times, 'alone', 'random'),
        padding={
            k:
            float(1 - lengths[way].sum() /
                  (lengths[way].max(1).sum() * way.shape[1]))
            for k, way in ways.items()
        },
        largest_difference=gap)


def peak_growth(function: Callable[[], Any], device: str) -> float:
    """MiB that a call needs at its peak (0 where the system does not tell).

    What the process has freed goes back to the system before.
    """
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path('/proc/self/clear_refs').write_text('5')  # the mark starts anew
    except (OSError, AttributeError, TypeError):
        return 0.
    before = resident()
    function()
    peak = re.search(r'VmHWM:\s+(\d+) kB',
                     Path('/proc/self/status').read_text())
    return int(peak[1]) / 1024 - before if peak else 0.


def resident() -> float:
    """Memory of this process in MiB (0 where /proc does not tell)."""
    try:
        pages = int(Path('/proc/self/statm').read_text().split()[1])
    except OSError:
        return 0.
    return pages * os.sysconf('SC_PAGE_SIZE') / 2**20


def stand_in(cfg: Config, root: Path, num_videos: int) -> None:
    """Feature files of THUMOS14's kind, filled with noise."""
    rng = np.random.default_rng(0)
    (root / 'features').mkdir(parents=True)
    database = {}
    noise = rng.normal(size=(1200, cfg.in_channels)).astype(np.float32)
    for i in range(num_videos):
        length = int(rng.integers(100, 600))
        np.save(root / 'features' / f'v{i}.npy', noise[i % 500:][:length])
        database[f'v{i}'] = dict(
            subset='training',
            duration=length * cfg.seconds_per_snippet,
            annotations=[],
            labels=[f'c{i % cfg.num_classes}'])
    (root / 'annotations.json').write_text(
        json.dumps(
            dict(
                version='noise',
                classes=[f'c{i}' for i in range(cfg.num_classes)],
                database=database)))


def measure_loader(args: argparse.Namespace, batch_seconds: float) -> dict:
    """The training loader of a config over files of noise."""
    sizes = (40, 80) if args.tiny else (40, 160)
    result: dict[str, Any] = {}
    for num_videos in sizes:
        cfg = load_config(PAPER.config, tiny=False)
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, 'data')
            stand_in(cfg, root, num_videos)
            loader_cfg = cfg.train_dataloader
            loader_cfg.dataset.update(
                data_root=str(root), dataset_name='noise')
            start, memory = time.perf_counter(), resident()
            batches = iter(Runner.build_dataloader(loader_cfg, seed=0))
            next(batches)
            first = time.perf_counter() - start
            rounds = 2 if args.tiny else 4 * args.rounds
            start = time.perf_counter()
            for _ in range(rounds):
                batch = next(batches)
            seconds = time.perf_counter() - start
            result[str(num_videos)] = dict(
                first_batch_seconds=first,
                samples_per_second=rounds * len(batch['inputs']) / seconds,
                main_process_mib=resident() - memory)
            del batches
    speed = result[str(sizes[-1])]['samples_per_second']
    wanted = cfg.train_dataloader.batch_size / batch_seconds
    return dict(
        videos=result,
        workers=cfg.train_dataloader.num_workers,
        model_samples_per_second=wanted,
        loader_over_model=speed / wanted)


def measure_evaluation(args: argparse.Namespace) -> dict:
    """NMS and average precision against those of MMAction2."""
    from mmaction.models.localizers.utils import soft_nms as their_nms
    rng = np.random.default_rng(0)
    nms: dict[str, Any] = {}
    for num in (50, 100) if args.tiny else (200, 1000, 3000):
        start = rng.uniform(0, 0.95, num)
        end = np.minimum(start + rng.uniform(0.01, 0.4, num), 1)
        segments, scores = np.stack([start, end], 1), rng.uniform(0.01, 1, num)
        rows = np.c_[segments, scores]
        options = dict(sigma=0.4, tiou_thr=0.5, wide_tiou_thr=0.9)
        times = race(
            dict(
                ours=lambda: soft_nms(segments, scores, **options),
                theirs=lambda: their_nms(rows, 0.4, 0.5, 0.9, num)),
            1 if num > 1000 else 3)
        keep, kept = soft_nms(segments, scores, **options)
        same = np.array_equal(np.c_[segments[keep], kept],
                              their_nms(rows, 0.4, 0.5, 0.9, num))
        nms[str(num)] = dict(
            seconds={
                k: float(v.min())
                for k, v in times.items()
            },
            speedup=ratio(times, 'theirs', 'ours'),
            same_output=bool(same))

    num_classes, thrs = 20, np.arange(1, 8) / 10
    truth, found = benchmark_evaluation.make_up(500 if args.tiny else 20000,
                                                num_classes)
    runs: dict[str, Callable[[], np.ndarray]] = dict(
        ours=lambda: average_precision(truth, found, num_classes, thrs))
    judge, column = activitynet_judge(truth, found, thrs)

    def activitynet() -> np.ndarray:
        judge.evaluate()
        return judge.ap[:, column]

    runs['activitynet'] = activitynet
    if importlib.util.find_spec('pandas'):
        runs['pandas'] = lambda: benchmark_evaluation.pandas_ap(
            truth, found, num_classes)
    times = race(runs, 1 if args.tiny else 3)
    expected = runs['ours']()
    return dict(
        nms=nms,
        evaluator=dict(
            detections=len(found.labels),
            seconds={
                k: float(v.min())
                for k, v in times.items()
            },
            speedup={k: ratio(times, k, 'ours')
                     for k in runs if k != 'ours'},
            largest_difference={
                k: float(np.abs(run() - expected).max())
                for k, run in runs.items() if k != 'ours'
            }))


def activitynet_judge(truth: Instances, found: Instances,
                      thrs: np.ndarray) -> tuple[Any, list[int]]:
    """ActivityNet's evaluator as MMAction2 has it, with its files read.

    Returns:
        tuple: The evaluator, and its column of each class.
    """
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
        judge = ActivityNetLocalization(*map(str, paths), thrs)
    columns = judge.activity_index
    return judge, [columns[str(i)] for i in range(len(columns))]


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    init_default_scope('mmaction')
    if args.threads:
        torch.set_num_threads(args.threads)
    devices = ['cpu', 'cuda'] if torch.cuda.is_available() else ['cpu']
    machine = (f'{torch.get_num_threads()} threads, {platform.machine()}, '
               f'PyTorch {torch.__version__}')
    if len(devices) > 1:
        machine += f', {torch.cuda.get_device_name()}'
    if hasattr(os, 'getloadavg'):
        machine += (f'; {os.cpu_count()} cores, load average before the run '
                    f'{os.getloadavg()[0]:.1f}')
    result: dict[str, Any] = dict(machine=machine)
    for part, measure in (('step', measure_step), ('inference',
                                                   measure_inference)):
        if part in args.parts:
            result[part] = {d: measure(args, d) for d in devices}
    if 'loader' in args.parts:
        if 'step' in result:
            fastest = result['step'][devices[-1]]['thumos14']
            seconds = fastest['seconds']['ours']
        else:
            shape = shrink(SHAPES['thumos14'], args.tiny)
            cfg = load_config(shape.config, args.tiny)
            batch = make_batch(cfg, shape, devices[-1])
            step = training_step(build(cfg), batch)
            seconds = race(dict(step=step), 1, devices[-1])['step'].min()
        result['loader'] = measure_loader(args, float(seconds))
    if 'evaluation' in args.parts:
        result['evaluation'] = measure_evaluation(args)
    result['ratios'] = collect_ratios(result)
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    Path(f'{out}.json').write_text(json.dumps(result, indent=1) + '\n')
    Path(f'{out}.md').write_text(to_markdown(result))


if __name__ == '__main__':
    main()
