# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""One run of a benchmark: train, test the last iteration, measure.

    python benchmarks/run.py FOLDER

The folder holds ``train.py``, a config without anything to inherit. It gets
the training, the predictions on the test data and, at last, ``result.json``.
A training that was stopped goes on.

``pool.py`` starts it and holds the other end of its standard input. When the
starter ends, however it ends, the system closes that, and this process group
ends, too.
"""
from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import init_default_scope

import mmaction_actiondiff
from mmaction_actiondiff import cli
from mmaction_actiondiff.dumps import DumpPredictions
from mmaction_actiondiff.evaluation import make_protocol
from mmaction_actiondiff.files import write_text
from mmaction_actiondiff.report import read_scalars


def end_with_starter() -> None:
    """End as soon as it does, without a word: it may have been killed."""
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def machine() -> dict[str, Any]:
    """What a number may depend on beside the seed and the versions."""
    path = Path('/proc/cpuinfo')
    names = re.findall(r'^model name\s*:\s*(.+)$',
                       path.read_text('utf-8') if path.is_file() else '',
                       re.MULTILINE)
    cpu = names[0] if names else platform.processor() or platform.machine()
    return dict(
        cpu=f'{cpu.strip()} ({torch.backends.cpu.get_cpu_capability()})',
        cpu_count=os.cpu_count(),
        threads=torch.get_num_threads(),
        device=torch.cuda.get_device_name()
        if get_device() == 'cuda' else get_device())


def versions() -> dict[str, str]:
    """Of Python, the libraries, and the package with a digest of its code."""
    digest = hashlib.sha256()
    folder = Path(mmaction_actiondiff.__file__).parent
    for path in sorted(folder.rglob('*.py')):
        if '.mim' not in path.parts:
            digest.update(path.read_bytes())
    return dict(
        python=platform.python_version(),
        **{
            name: importlib.metadata.version(name)
            for name in ('torch', 'mmengine', 'mmaction2', 'numpy')
        },
        mmaction_actiondiff=mmaction_actiondiff.__version__,
        source=digest.hexdigest()[:12])


def describe(name: str, dataset: Any) -> dict[str, Any]:
    """The protocol, and what it counts of the data set."""
    protocol = make_protocol(name)
    counts = [
        len(record['segments'])
        for record in map(dataset.get_data_info, range(len(dataset)))
        if record['video_name'] not in protocol.exclude
        and len(record['segments'])
    ]
    return dict(
        name=protocol.name,
        num_videos=len(counts),
        num_gt=sum(counts),
        settings=protocol.settings())


def train(cfg: Config, folder: Path) -> None:
    """Train to the end, from where it was stopped."""
    cfg.work_dir = str(folder)
    cfg.load_from = cli.latest_checkpoint(folder)
    cfg.resume = cfg.load_from is not None
    with cli.work_folder(cfg):
        cli.build_runner(cfg).train()


def timed(call: Callable, seconds: list[float]) -> Callable:
    """``call``, which notes how long it took; what it returns is on the
    CPU, so that no GPU is still at work."""

    def wrapper(*args: Any) -> Any:
        start = time.perf_counter()
        found = call(*args)
        seconds.append(time.perf_counter() - start)
        return found

    return wrapper


def measure(cfg: Config, checkpoint: Path, folder: Path) -> dict[str, Any]:
    """Test a trained localizer: precision, recall, speed, size."""
    cfg.work_dir = str(folder)
    cfg.load_from = str(checkpoint)
    cfg.resume = False
    runner = cli.build_runner(cfg)
    model, seconds = runner.model, []
    model.test_step = timed(model.test_step, seconds)
    if hasattr(model, 'dump_snippets'):
        cli.add_metric(runner, DumpPredictions(f'{folder}.npz'))
    metrics = runner.test()
    protocols = [m.protocol for m in cfg.test_evaluator if 'protocol' in m]
    return dict(
        metrics=metrics,
        protocol=describe(protocols[0], runner.test_dataloader.dataset)
        if protocols else None,
        inference_ms=1000 * float(np.median(seconds)),
        # a teacher of averaged weights is not trained, nor used in a test
        parameters=sum(p.numel() for p in model.parameters()
                       if p.requires_grad))


def main() -> None:
    threading.Thread(target=end_with_starter, daemon=True).start()
    folder = Path(sys.argv[1])
    with cli.command():
        cfg = Config.fromfile(folder / 'train.py')
        init_default_scope(cfg.default_scope)
        train(cfg, folder / 'train')
        peak = max(
            resource.getrusage(who).ru_maxrss
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        last = cfg.train_cfg.max_iters
        rows, validations = read_scalars(folder / 'train')
        # iterations alone: neither the start nor the validation
        times = [row['time'] for row in rows]
        result = dict(
            iteration=last,
            history={row['step']: row
                     for row in validations},
            train_seconds=float(np.mean(times)) * last if times else None,
            # in bytes on macOS, in kB on Linux
            peak_memory_mb=peak / 2**(20 if sys.platform == 'darwin' else 10),
            peak_gpu_memory_mb=max(
                (row['memory'] for row in rows if 'memory' in row),
                default=None),
            machine=machine(),
            versions=versions(),
            **measure(cfg, folder / f'train/iter_{last}.pth', folder / 'test'))
        write_text(folder / 'result.json', json.dumps(result, indent=1))


if __name__ == '__main__':
    main()
