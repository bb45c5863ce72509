"""What a GPU computes is what a CPU computes, without waits in between."""
from __future__ import annotations

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope

pytestmark = pytest.mark.gpu

NAMES = [
    'actiondiff_demo',
    *(f'baselines/{name}_demo'
      for name in ('selftrain', 'base', 'co2net', 'delu', 'cola', 'acr'))
]
LENGTHS = (40, 32, 40, 17, 25, 40, 9, 40)


@pytest.fixture(autouse=True)
def exact():
    """float32 without TF32, as on a CPU."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


@pytest.fixture(params=NAMES)
def cfg(request, root):
    init_default_scope('mmaction')
    return Config.fromfile(root / 'configs' / f'{request.param}.py')


def make_data(cfg) -> dict:
    """A batch as the data loader gives it, whose neighbours share a class."""
    samples = []
    for i, length in enumerate(LENGTHS):
        sample = ActionDataSample(
            metainfo=dict(
                video_name=str(i),
                num_snippets=length,
                seconds_per_snippet=1.,
                duration=float(length)))
        sample.set_gt_label([i // 2 % cfg.num_classes])
        samples.append(sample)
    return dict(
        inputs=[torch.rand(cfg.in_channels, length) for length in LENGTHS],
        data_samples=samples)


def test_predicts_as_a_cpu(cfg):
    model = MODELS.build(dict(cfg.model, dump_snippets=True)).eval()
    data = make_data(cfg)
    curves = []
    for device in ('cpu', 'cuda'):
        model.to(device)
        curves.append(
            [sample.pred_snippets.clone() for sample in model.test_step(data)])
    for cpu, gpu in zip(*curves):
        for key, value in cpu.items():
            torch.testing.assert_close(
                gpu.get(key), value, atol=1e-3, rtol=1e-3)


def test_a_training_step_never_waits(cfg):
    model = MODELS.build(cfg.model).cuda().train()
    data = model.data_preprocessor(make_data(cfg), True)
    model(**data, mode='loss')  # what is set up once may wait
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        losses = model(**data, mode='loss')
        sum(v for k, v in losses.items() if 'loss' in k).backward()
    finally:
        torch.cuda.set_sync_debug_mode('default')


def test_mixed_precision_learns(cfg):
    model = MODELS.build(cfg.model).cuda().train()
    optimizer = dict(type='Adam', lr=1e-3)
    wrapper = build_optim_wrapper(
        model,
        dict(type='AmpOptimWrapper', optimizer=optimizer, loss_scale=1024.))
    data = make_data(cfg)
    first, *_, last = (
        float(model.train_step(data, wrapper)['loss'].detach())
        for _ in range(20))
    assert last < first
