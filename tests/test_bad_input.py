"""Bad input, through the real command lines: each ends with an exit status
that is not 0 and words that name the mistake, without a traceback. Nothing in
a file runs, and an output that cannot be written is noticed first.

A case is a command, what was done to a folder that was in order, and what
must be said. The commands run in this process, in a copy of that folder.
"""
from __future__ import annotations

import json
import os
import pickle
import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmaction_actiondiff.cli import set_aside

ROOT = Path(__file__).resolve().parents[1]
CONFIG = f"""
_base_ = {str(ROOT / 'configs' / 'actiondiff_custom.py')!r}
data_root = 'data'
stream_channels = [4]
model = dict(
    base_branch=dict(embed_channels=4),
    condition=dict(condition_channels=4),
    diffusion_head=dict(
        num_inference_steps=1, denoiser=dict(channels=8)))
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=1))
param_scheduler = []
log_level = 'ERROR'
"""
TRAIN = 'tools/train.py mine.py --work-dir run'
TEST = 'tools/test.py mine.py run/iter_2.pth --work-dir run'
INFER = 'tools/infer.py run data/features --out out.json'
EVALUATE = ('tools/evaluate.py --detections detections.json '
            '--ann-file data/annotations.json --protocol seconds')
PREPARE = ('tools/prepare/custom.py --annotations data/annotations.json '
           '--features data/features --seconds-per-snippet 0.5 --out out')


def feature(seed: int, shape=(20, 4)) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def lay_out(folder: Path) -> None:
    """Eight videos of 10 s, two classes; a config; detections."""
    (folder / 'data' / 'features').mkdir(parents=True)
    database = {}
    for i in range(8):
        np.save(folder / f'data/features/v{i}.npy', feature(i))
        database[f'v{i}'] = dict(
            subset='training' if i < 4 else 'test',
            duration=10.,
            annotations=[dict(label=('jump', 'run')[i % 2], segment=[2., 5.])])
    content = dict(
        classes=['jump', 'run'], seconds_per_snippet=0.5, database=database)
    (folder / 'data/annotations.json').write_text(json.dumps(content))
    (folder / 'mine.py').write_text(CONFIG)
    found = [dict(label='jump', segment=[2., 5.], score=.9)]
    (folder / 'detections.json').write_text(
        json.dumps(dict(results=dict(v6=found))))
    (folder / 'file').write_text('kept')


def tool(monkeypatch, command: str) -> None:
    """Run a command as if in a process of its own."""
    words = shlex.split(command)
    monkeypatch.setattr(sys, 'argv', words)
    runpy.run_path(str(ROOT / words[0]), run_name='__main__')


@pytest.fixture(scope='module')
def sound(tmp_path_factory) -> Path:
    """A folder in order: the data, and a run with its predictions."""
    folder = tmp_path_factory.mktemp('sound')
    lay_out(folder)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        tool(monkeypatch, TRAIN)
        tool(monkeypatch, TEST + ' --dump run/dump.npz')
        tool(monkeypatch, INFER)
        for command in (EVALUATE, PREPARE):
            with pytest.raises(SystemExit) if 'prepare' in command else \
                    pytest.MonkeyPatch.context():
                tool(monkeypatch, command)
    shutil.rmtree(folder / 'out')
    (folder / 'out.json').unlink()
    return folder


# -- What is done to the folder -----------------------------------------------


def none() -> None:
    """Nothing: the command itself is wrong."""


def content(path, change):
    """Change a json file."""

    def do() -> None:
        value = json.loads(Path(path).read_text('utf-8'))
        Path(path).write_text(json.dumps(change(value) or value))

    return do


def annotations(change):
    return content('data/annotations.json', change)


def video(**fields):
    """Set fields of the record of v1, a training video, and v6, a test's."""

    def change(value: dict) -> None:
        for name in ('v1', 'v6'):
            value['database'][name].update(fields)

    return annotations(change)


def segment(*values):
    return video(annotations=[dict(label='run', segment=list(values))])


def renamed(name):
    """Another name for v1."""
    return annotations(lambda value: value['database'].update(
        {name: value['database'].pop('v1')}))


def detection(**fields):
    return content('detections.json',
                   lambda value: value['results']['v6'][0].update(fields))


def text(path, value='', encoding='utf-8'):
    return lambda: Path(path).write_bytes(value.encode(encoding))


def cut(path):
    """Only the first half of a file."""

    def do() -> None:
        whole = Path(path).read_bytes()
        Path(path).write_bytes(whole[:len(whole) // 2])

    return do


def gone(path):

    def do() -> None:
        if Path(path).is_dir():
            shutil.rmtree(path)
        else:
            Path(path).unlink()

    return do


def array(value, path='data/features/v1.npy'):
    return lambda: np.save(path, value)


def config(lines):
    return text('mine.py', CONFIG + lines)


def checkpoint(change, path='run/iter_2.pth'):

    def do() -> None:
        value = torch.load(path, weights_only=True)
        torch.save(change(value) or value, path)

    return do


def weights(change):
    return checkpoint(lambda value: dict(
        value,
        state_dict={
            key: change(key, x)
            for key, x in value['state_dict'].items()
        }))


def together(*changes):
    return lambda: [change() for change in changes] and None


NAN = feature(1)
NAN[7, 2] = np.nan
HUGE = feature(1).astype(np.float64)
HUGE[3, 0] = 1e300
DEEP = '[' * 100_000
OTHER = 'model.base_branch.embed_channels=6'

CASES = [
    # -- configs and options
    ('tools/train.py no.py', none, r'no\.py does not exist'),
    ('tools/train.py ./min.py', none, r'the closest is \./mine\.py'),
    ('tools/train.py run/iter_2.pth', none, r'iter_2\.pth cannot be read'),
    ('tools/train.py data', none, 'data does not exist|is a folder'),
    (TRAIN, text('mine.py', 'x = ('), r'mine\.py cannot be read'),
    (TRAIN, text('mine.py', '\ufeffx = "\xe9"', 'utf-16'), r'mine\.py'),
    (TRAIN, text('mine.py', "_base_ = './none.py'"), r'none\.py'),
    (TRAIN, config('x = 1 / 0'), r'mine\.py cannot be read: ZeroDivision'),
    (TRAIN, config('import nothing'), r'mine\.py cannot be read'),
    (TRAIN, config("model = dict(type='ActionDif')"), 'is ActionDiff'),
    (TRAIN, config('model = dict(fusion=dict(wdth=1))'), 'wdth'),
    (TRAIN, config('modle = dict()'), 'modle.*the closest is model'),
    (TRAIN + ' --cfg-options seed', none, 'takes KEY=VALUE'),
    (TRAIN + ' --cfg-options seed=3', none, 'set randomness.seed'),
    (TRAIN + ' --seed -1', none, 'randomness.seed must be'),
    (TRAIN + ' --seed x', none, 'invalid int value'),
    (TRAIN + ' --epochs 3', none, 'unrecognized arguments: --epochs'),
    (TRAIN + ' --launcher slurm', none, 'only `--launcher pytorch`'),
    (TRAIN + ' --cfg-options train_cfg.max_iters=0', none, 'max_iters'),
    (TRAIN + ' --cfg-options train_cfg.max_iters=-2', none, 'max_iters'),
    (TRAIN + ' --cfg-options train_cfg.max_iters=x', none, 'max_iters'),
    (TRAIN + ' --cfg-options train_cfg.val_interval=0', none, 'val_interval'),
    (TRAIN + ' --cfg-options train_dataloader.batch_size=0', none,
     'batch_size'),
    (TRAIN + ' --cfg-options train_dataloader.num_workers=-1', none,
     'num_workers'),
    (TRAIN + ' --cfg-options default_hooks.checkpoint.interval=0', none,
     'interval'),
    (TRAIN + ' --cfg-options default_hooks.checkpoint.save_best=mAP', none,
     'save_best names a metric'),
    (TRAIN + ' --hold-out 2 --cfg-options val_evaluator.protocol=seconds212',
     none, 'val_evaluator.protocol=... changes nothing here'),
    (TRAIN + ' --cfg-options val_evaluator.protocol=best', none, 'protocol'),
    (TRAIN + ' --cfg-options optim_wrapper.optimizer.lr=fast', none, 'fast'),
    (TRAIN + ' --cfg-options optim_wrapper.optimizer.lr=-1', none, 'lr must'),
    (TRAIN + ' --cfg-options optim_wrapper.optimizer.weight_decay=-1', none,
     'weight_decay'),
    (TRAIN + ' --cfg-options optim_wrapper.accumulative_counts=0', none,
     'accumulative_counts must'),
    (TRAIN + ' --cfg-options model.warmup=2', none, 'warmup must lie in'),
    (TRAIN + ' --cfg-options num_classes=3', none,
     'num_classes=3.*num_classes=2'),
    (TRAIN + ' --cfg-options stream_channels=5', none,
     r'stream_channels must be a list, as in'),
    (TRAIN + ' --cfg-options stream_channels=[5]', none,
     r'stream_channels=\[5\]'),
    (TRAIN + ' --cfg-options =1', none, "KEY=VALUE, got '=1'"),
    (TRAIN + ' --cfg-options model..x=1', none, 'takes KEY=VALUE'),
    (TRAIN + ' --cfg-options model=3', none, 'model should be'),
    (TRAIN + ' --cfg-options model.type=None', none, 'type must be a str'),
    (TRAIN + ' --cfg-options model.fusion=3', none, 'ActionDiff'),
    (TRAIN + ' --cfg-options train_dataloader=None', none, 'train_dataloader'),
    (TRAIN + ' --cfg-options val_evaluator=None', none, 'val_evaluator'),
    (TRAIN + ' --cfg-options val_evaluator.tiou_thrs=x', none, 'DetectionMAP'),
    (TRAIN + ' --cfg-options optim_wrapper.optimizer.type=Adm', none,
     "type='Adm' is no optimizer; the closest is Adam"),
    (TRAIN + ' --cfg-options default_hooks.logger.interval=x', none,
     'logger.interval must be'),
    (TRAIN + ' --cfg-options train_cfg=5', none, 'train_cfg must be a dict'),
    (TRAIN + ' --cfg-options auto_scale_lr=True', none,
     'auto_scale_lr must be a dict'),
    (TRAIN + ' --cfg-options custom_hooks=5', none,
     'custom_hooks must be a list'),
    (TRAIN + ' --cfg-options param_scheduler=x', none, 'scheduler must be a'),
    (TRAIN + ' --cfg-options optim_wrapper.clip_grad=5', none, 'be a `dict`'),
    (TRAIN + ' --cfg-options randomness.deterministic=maybe', none,
     'deterministic must be True or False'),
    (TRAIN + ' --cfg-options default_hooks.checkpoint.max_keep_ckpts=x', none,
     'max_keep_ckpts must be a whole number'),
    (TRAIN + ' --cfg-options launcher=slurm', none, 'launcher=... changes'),
    (TRAIN + ' --cfg-options work_dir=x', none, 'work_dir=... changes'),
    (TRAIN + ' --cfg-options resume=yes', none, 'resume must be True or'),
    (TRAIN + ' --resume --cfg-options load_from=x', none, 'load_from=... cha'),
    (TRAIN + ' --cfg-options log_level=LOUD', none, "got 'LOUD'"),
    (TRAIN + ' --cfg-options env_cfg.mp_cfg.mp_start_method=x', none, "'x'"),
    (TRAIN + ' --launcher pytorch', none, 'RANK is not set'),
    (f"tools/train.py {ROOT / 'configs/benchmarks/demo.py'}", none, 'demo.py'),
    (f"tools/train.py {ROOT / 'configs/_base_/default_runtime.py'}", none,
     'no config of a run'),
    (TRAIN + ' --cfg-options load_from=run/iter_2.pth', none, 'set aside'),
    (TRAIN + ' --cfg-options load_from=run', none, 'set aside'),
    # -- annotations
    (PREPARE,
     together(
         annotations(lambda x: x.pop('classes') and None),
         video(labels=['Run'])), "'Run' and 'run' differ in spelling"),
    (TRAIN, annotations(lambda x: x.update(classes=['\ud800', 'run'])),
     'surrogates not allowed'),
    (PREPARE, annotations(lambda x: x.update(classes=['\ud800', 'run'])),
     'surrogates not allowed'),
    (TRAIN, video(duration=10**400), 'v1.*duration'),
    (TRAIN, segment(1, 10**400), 'v1.*start, end'),
    (TRAIN, video(labels=[1]), 'v1.*labels'),
    (TRAIN, video(annotations={}), 'v1.*annotations'),
    (TRAIN, renamed(''), "the video name ''"),
    (TRAIN + ' --cfg-options data_root=none', none, 'none/annotations.json'),
    (TRAIN, gone('data/annotations.json'), 'no such annotation file'),
    (TRAIN, text('data/annotations.json'), r'annotations\.json'),
    (TRAIN, cut('data/annotations.json'), r'annotations\.json'),
    (TRAIN, text('data/annotations.json', DEEP), r'annotations\.json'),
    (TRAIN, text('data/annotations.json', '{"a": "\xe9"}',
                 'latin-1'), r'annotations\.json.*UTF-8'),
    (TRAIN, text('data/annotations.json', '[]'), r'annotations\.json'),
    (TRAIN, annotations(lambda x: dict(database={})), r'annotations\.json'),
    (TRAIN, annotations(lambda x: x.update(classes=['jump', 'jump'])), 'jump'),
    (TRAIN, annotations(lambda x: x.update(classes=['jump'])), "'run'"),
    (TRAIN, annotations(lambda x: x.update(seconds_per_snippet=-1)),
     'seconds_per_snippet'),
    (TRAIN, segment(2), 'v1'),
    (TRAIN, segment(2, 3, 4), 'v1'),
    (TRAIN, segment(5, 2), r'v1.*\[5.*not 0 <= start <= end'),
    (TRAIN, segment(2, 99), 'v1.*within the video'),
    (TRAIN, segment(2, float('nan')), 'v1'),
    (TRAIN, segment('a', 'b'), 'v1'),
    (TRAIN, video(duration=-1), 'v1.*duration'),
    (TRAIN, video(duration=0), 'v1.*duration'),
    (TRAIN, video(duration=None), 'v1.*duration'),
    (TRAIN, video(annotations=[]), 'training videos without a label.*v1'),
    (TRAIN, video(annotations=[dict(label='fly', segment=[1, 2])]), 'fly'),
    (TRAIN, video(annotations=[dict(segment=[1, 2])]), 'v1.*label'),
    (TRAIN, video(labels='run'), 'v1.*labels'),
    (TRAIN, video(subset=7), 'v1.*subset'),
    (TRAIN, renamed('../v1'), r'\.\./v1'),
    (TRAIN, renamed('x' * 300), 'xxx'),
    (TRAIN,
     annotations(
         lambda x: [r.update(subset='other')
                    for r in x['database'].values()] and None),
     "no videos in subset \\['training'\\]"),
    # -- features
    (TRAIN, gone('data/features'), 'no feature file'),
    (TRAIN, gone('data/features/v1.npy'), 'no feature file.*v1'),
    (TRAIN, cut('data/features/v1.npy'), r'v1\.npy'),
    (TRAIN, text('data/features/v1.npy', 'x'), r'v1\.npy'),
    (TRAIN, array(feature(1, (20, 5))), r'v1\.npy'),
    (TRAIN, array(feature(1, (4, 20))), r'v1\.npy'),
    (TRAIN, array(feature(1, (0, 4))), r'v1\.npy'),
    (TRAIN, array(feature(1, (1, 20, 4))), r'v1\.npy'),
    (TRAIN, array(NAN), r'v1\.npy'),
    (TRAIN, array(HUGE), r'v1\.npy'),
    (TRAIN, array(np.ones((20, 4), int)), r'v1\.npy.*int64'),
    (TRAIN, array(np.array([None])), r'v1\.npy.*pickled'),
    (TRAIN + ' --cfg-options train_dataloader.num_workers=1', array(NAN),
     r'v1\.npy'),
    # -- checkpoints
    (TRAIN + ' --resume no.pth', none, r'no\.pth does not exist'),
    (TRAIN + ' --resume', lambda: set_aside('run', '') and None,
     '--resume run/earlier_1/iter_2.pth goes on'),
    (TRAIN + ' --resume run', none, 'run is a folder.* run/iter_2.pth'),
    (TRAIN + ' --resume --seed 5 --cfg-options train_cfg.max_iters=3', none,
     'seed=5, there 0'),
    (TRAIN + ' --resume --cfg-options train_dataloader.batch_size=3', none,
     'batch_size=3, there 2'),
    (TRAIN + ' --resume',
     annotations(lambda x: x['database']['v4'].update(subset='training')),
     'videos=5, there 4'),
    (TRAIN + ' --resume run/iter_2.pth', cut('run/iter_2.pth'), 'damaged'),
    (TRAIN + ' --resume run/iter_1.pth',
     checkpoint(lambda x: x['state_dict'].popitem() and None,
                'run/iter_1.pth'), 'iter_1.pth does not fit ActionDiff'),
    (TRAIN + ' --cfg-options load_from=no.pth', none, r'no\.pth does not'),
    ('tools/test.py mine.py no.pth', none, r'no\.pth does not exist'),
    ('tools/test.py mine.py run', none, 'run'),
    (TEST, text('run/iter_2.pth', 'x'), r'iter_2\.pth'),
    (TEST, text('run/iter_2.pth'), r'iter_2\.pth'),
    (TEST, cut('run/iter_2.pth'), 'damaged.*take run/iter_1.pth'),
    (TEST, weights(lambda key, x: x * float('nan')), 'not finite'),
    (TEST, weights(lambda key, x: x.reshape(-1)[:1]), 'of another shape'),
    (TEST, checkpoint(lambda x: dict(x, state_dict={})), 'does not fit'),
    (TEST, checkpoint(lambda x: [1, 2]), r'iter_2\.pth.*another list'),
    (TEST, weights(lambda key, x: 'x'), r'iter_2\.pth.*of tensors'),
    (INFER, checkpoint(lambda x: [1, 2]), r'iter_2\.pth.*another list'),
    (TEST + f' --cfg-options {OTHER}', none, 'does not fit ActionDiff'),
    (TEST, annotations(lambda x: x['classes'].reverse()), 'other classes'),
    (TEST, annotations(lambda x: x.update(seconds_per_snippet=.4)),
     'seconds_per_snippet|clock|ratio'),
    (TEST + ' --seeds 0', none, '--seeds: must be >= 1'),
    (TEST + ' --seeds 2 --dump d.npz', none, 'leave out --seeds'),
    (TEST + ' --dump d.pkl', none, 'd.pkl'),
    (TEST + ' --dump run/dump.npz', none, 'dump.npz exists'),
    (TRAIN + ' --resume', checkpoint(lambda x: x.pop('optimizer') and None),
     'iter_2.pth lacks an optimizer'),
    (TRAIN + ' --resume', checkpoint(lambda x: x['meta'].update(iter='x')),
     'iter_2.pth lacks'),
    (TRAIN + ' --resume --cfg-options train_cfg.max_iters=1', none,
     'beyond train_cfg.max_iters=1'),
    (TRAIN + ' --resume --cfg-options optim_wrapper.optimizer.type=SGD', none,
     'another type'),
    (TRAIN + ' --resume --cfg-options optim_wrapper.optimizer.weight_decay=.5',
     none, 'weight_decay=0.5, there 0.0001'),
    (TEST, checkpoint(lambda x: dict(x, meta=[3])), "'meta'.*must be dicts"),
    (TEST + ' --cfg-options load_from=x', none, 'load_from=... changes'),
    # -- inference
    (INFER.replace('run', 'run/iter_2.pth'),
     checkpoint(lambda x: x['meta'].update(cfg='import os')), 'would run code'
     ),
    (INFER.replace('run', 'run/iter_2.pth'),
     checkpoint(lambda x: x['meta'].update(cfg='x = 1')),
     'the config has no model'),
    (INFER.replace('run', 'run/iter_2.pth'),
     checkpoint(lambda x: x.pop('meta') and None),
     'does not name the classes'),
    ('tools/infer.py run --out out.json', none, 'at least one INPUT'),
    ('tools/infer.py no data/features --out out.json', none, 'no: expected'),
    ('tools/infer.py data data/features --out out.json', none,
     'expected a checkpoint'),
    ('tools/infer.py run data --out out.json', none, 'data: expected'),
    ('tools/infer.py mine.py no.pth data/features --out out.json', none,
     r'no\.pth'),
    ('tools/infer.py file data/features --out out.json', none, 'file'),
    ('tools/infer.py run no.npy --out out.json', none, r'no\.npy'),
    ('tools/infer.py run file --out out.json', none, 'file'),
    ('tools/infer.py run mine.py --out out.json', none, 'expected a feature'),
    ('tools/infer.py run clip.mp4 --out out.json', text('clip.mp4', 'x'),
     'clip.mp4 is a video: .*--recognizer'),
    (INFER.replace('json', 'xml'), none, 'expected a name that ends in'),
    (INFER.replace('json', 'srt'), none, 'put {video} into the name'),
    (INFER, array(NAN), r'v1\.npy'),
    (INFER, array(feature(1, (20, 5))), r'v1\.npy.*\(20, 5\)'),
    (INFER, array(feature(1, (4, 20))), 'transpose it'),
    (INFER, cut('data/features/v1.npy'), r'v1\.npy'),
    (INFER, text('data/features/v1.json',
                 '{"stride": 0, "fps": 25}'), r'v1\.json.*stride'),
    (INFER, text('data/features/v1.json', 'x'), r'v1\.json'),
    (INFER.replace(' --', ' data/features/v1.npy --'), none, 'same name'),
    (INFER + ' --batch-size 2', none, 'unrecognized arguments: --batch-size'),
    (INFER + ' --seconds-per-snippet -1', none, 'seconds_per_snippet'),
    (INFER + ' --seconds-per-snippet nan', none, 'seconds_per_snippet'),
    (INFER + ' --max-segments -1', none, 'max-segments'),
    (INFER + ' --min-score nan', none, 'min-score'),
    (INFER + ' --device gpu', none, 'gpu'),
    (INFER + ' --recognizer no.py no.pth', none, r'no\.py'),
    (INFER + ' --stride 8', none, 'stride'),
    # -- evaluation
    (EVALUATE, gone('detections.json'), r'detections\.json'),
    (EVALUATE, cut('detections.json'), r'detections\.json'),
    (EVALUATE, text('detections.json', '{}'), r'detections\.json'),
    (EVALUATE, text('detections.json', DEEP), r'detections\.json'),
    (EVALUATE, text('detections.json',
                    '{"results": {"v": []}}'), 'none of its 1 videos'),
    (EVALUATE, detection(label='fly'), 'fly'),
    (EVALUATE, detection(score='high'), 'v6.*score'),
    (EVALUATE, detection(score=float('nan')), 'v6.*score'),
    (EVALUATE, detection(score=10**400), 'v6.*OverflowError'),
    (EVALUATE, detection(segment=[5, 2]), 'v6'),
    (EVALUATE + ' --json detections.json', none, 'would be overwritten'),
    (EVALUATE, detection(segment=[1, 2, 3, 4]), 'v6'),
    (EVALUATE, detection(segment=None), 'v6'),
    (EVALUATE, gone('data/annotations.json'), r'annotations\.json'),
    (EVALUATE + ' --subset validation', none, "subset 'validation'"),
    (EVALUATE + ' --exclude v99', none, 'v99'),
    (EVALUATE + ' --tiou-thrs 2', none, 'tiou_thrs must be'),
    (EVALUATE + ' --averages 0.7', none, 'averages'),
    (EVALUATE + ' --averages 0.7:0.1', none, 'averages'),
    (EVALUATE + ' --seconds-per-snippet 0', none, 'seconds_per_snippet'),
    (EVALUATE + ' --protocol mine', none, 'invalid choice'),
    # -- predictions
    ('tools/replay.py mine.py no.npz', none, r'no\.npz'),
    ('tools/replay.py mine.py file', none, r'\.npz'),
    ('tools/replay.py mine.py run/dump.npz', cut('run/dump.npz'), 'dump.npz'),
    ('tools/replay.py mine.py run/dump.npz --cfg-options num_classes=3', none,
     'changes nothing here'),
    ('tools/replay.py mine.py run/dump.npz --cfg-options '
     'model.proposal_generator.outer=1', none, 'outer'),
    ('tools/replay.py mine.py run/dump.npz --out x.csv', none, 'writes json'),
    ('tools/visualize.py no.npz', none, r'no\.npz'),
    ('tools/visualize.py run/dump.npz --videos v99', none, 'v99'),
    ('tools/visualize.py run/dump.npz --num 0', none, '--num: must be'),
    ('tools/report.py no', none, 'no: no such folder'),
    ('tools/report.py data', none, 'data: expected'),
    ('tools/report.py run --dump no.npz', none, r'no\.npz'),
    ('tools/report.py run', text('run/x.npz', 'x'), r'x\.npz'),
    ('tools/report.py run --out run/mine.py', none, 'ends in .html'),
    ('tools/replay.py mine.py run/dump.npz --cfg-options '
     'model.proposal_generator.nms=3', none, 'ProposalGenerator'),
    # -- other tools
    ('tools/export.py run out.pt --num-snippets 9', none, 'ends in .pt2'),
    ('tools/export.py run out.pt2 --num-snippets 0', none, 'num.snippets'),
    ('tools/export.py no out.pt2 --num-snippets 9', none, 'no: expected'),
    ('tools/convert_checkpoint.py co2net no.pth --out o.pth', none,
     r'no\.pth'),
    ('tools/convert_checkpoint.py co2net file --out o.pth', none, 'file'),
    ('tools/convert_checkpoint.py co2net run/iter_2.pth --out o.pth', none,
     'iter_2.pth'),
    ('tools/convert_checkpoint.py co2net run/iter_2.pth --out file', none,
     'file exists'),
    ('tools/extract_features.py no.py no.pth none.mp4 --out o', none,
     r'no\.py|none\.mp4'),
    ('tools/extract_features.py no.py no.pth data --out o', none,
     'expected files'),
    ('tools/extract_features.py no.pth no.py clip.mp4 --out o', text('no.pth'),
     r'config no\.pth cannot be read'),
    ('tools/extract_features.py mmaction::no.py no.pth clip.mp4 --out o', none,
     r'config mmaction::no\.py cannot be read'),
    ('tools/extract_features.py no.py no.pth clip.mp4 --out o --fps inf', none,
     'fps must be > 0 and < 10000'),
    ('tools/extract_features.py no.py no.pth clip.mp4 --out o --stride 0',
     text('clip.mp4'), 'stride must be > 0'),
    # -- preparation
    (PREPARE.replace('--out out', ''), none, '--annotations and --out'),
    (PREPARE.replace('data/annotations', 'no'), none, r'no\.json'),
    (PREPARE.replace('data/features', 'none'), none, 'none'),
    (PREPARE.replace('data/features', 'run/vis'), none, 'run/vis'),
    (PREPARE.replace('0.5', '0'), none, 'seconds_per_snippet'),
    (PREPARE.replace('0.5', 'nan'), none, 'seconds_per_snippet'),
    (PREPARE + ' --channels 5', none, 'channels'),
    (PREPARE + ' --channels -1', none, 'channels'),
    (PREPARE.replace('--out out', '--out data'), none, 'would be overwrit'),
    (PREPARE, cut('data/annotations.json'), r'annotations\.json'),
    (PREPARE, array(NAN), 'NaN or infinite'),
    (PREPARE, array(np.ones((20, 4), int)), 'int64'),
    (PREPARE, renamed('a/b'), 'a/b'),
    ('tools/prepare/custom.py --check no', none, 'no/annotations.json'),
    ('tools/prepare/custom.py --check data', array(NAN), 'NaN or infinite'),
    ('tools/prepare/custom.py --check data',
     text('data/features/v1.npy', 'PK\x03\x04'), 'v1.npy: cannot be read'),
    ('tools/prepare/thumos14.py --annotations file --out out', none, 'file'),
    ('tools/prepare/activitynet.py --annotations file --out out', none,
     'file'),
    ('tools/prepare/shrec21.py --training no no.txt --test no no.txt '
     '--out out', none, 'no'),
    # -- benchmarks
    ('tools/benchmark.py no.py', none, r'no\.py does not exist'),
    ('tools/benchmark.py mine.py --jobs 0', none, 'must be >= 1'),
    ('tools/benchmark.py mine.py --seeds -1', none, 'must be >= 0'),
    ('tools/benchmark.py mine.py --entries other', none, 'other'),
    ('tools/benchmark.py mine.py --cfg-options sed=1', none, 'sed'),
]


@pytest.fixture
def place(sound, tmp_path, monkeypatch) -> Path:
    """The folder to spoil, in which the commands run."""
    folder = tmp_path / 'place'
    shutil.copytree(sound, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def complaint(monkeypatch, capfd):
    """``complaint(command)`` -> what a command that must fail says."""

    def run(command: str) -> str:
        with pytest.raises(SystemExit) as caught:
            tool(monkeypatch, command)
        printed = capfd.readouterr()
        said = printed.err + printed.out
        code = caught.value.code
        assert code not in (0, None)
        if isinstance(code, str):
            assert code.startswith('Error: ')
            said += code
        assert 'Traceback' not in said
        return said

    return run


@pytest.mark.parametrize('command, change, words', CASES)
def test_mistake(place, complaint, command, change, words):
    change()
    said = complaint(command)
    assert re.search(words, said, re.DOTALL), said[-1000:]
    assert [path.name for path in place.parent.iterdir()] == ['place']
    assert (place / 'file').read_text() == 'kept'


def test_the_page_says_how_many():
    page = (ROOT / 'docs/reliability.md').read_text('utf-8')
    assert f'{len(CASES)} mistakes' in page
    assert f'{len(BOMBS)} files' in page


# -- Files that would run code ------------------------------------------------


class Bomb:
    """Makes the folder ``exploded`` where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ('exploded', )


def bomb(path: str, form: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'wb') as file:
        if form == 'pickle':
            pickle.dump(Bomb(), file)
        elif form == 'torch':
            torch.save(dict(state_dict=dict(w=Bomb())), file)
        elif form == 'npy':
            np.save(file, np.array([Bomb()], object), allow_pickle=True)
        else:
            np.savez(file, index=np.array([Bomb()], object), rgb=Bomb())


PAIR = ('tools/test.py mine.py run/iter_2.pth --work-dir run --cfg-options '
        "test_evaluator.type=PairedDetectionMAP test_evaluator.video_scores=")
MIXED = PREPARE.replace('data/features', 'mixed')
BUNDLE = 'tools/prepare/thumos14.py --annotations Mine-Annotations --out out'
RECOGNIZER = ('mmaction::recognition/tsn/tsn_imagenet-pretrained-r50_8xb32-'
              '1x1x3-100e_kinetics400-rgb.py')
BOMBS = [(command, path, form) for command, path, forms in (
    (TRAIN, 'data/annotations.json', 'pickle'),
    (TRAIN, 'data/features/v1.npy', 'pickle torch npy npz'),
    (TRAIN + ' --resume', 'run/last_checkpoint', 'pickle'),
    (TRAIN + ' --resume run/iter_1.pth', 'run/iter_1.pth', 'pickle torch npy'),
    (TRAIN + ' --cfg-options load_from=x.pth', 'x.pth', 'pickle torch npy'),
    (TEST, 'run/iter_2.pth', 'pickle torch npy npz'),
    (PAIR + 'x.json', 'x.json', 'pickle'),
    (PAIR + 'x.npz', 'x.npz', 'pickle torch npy npz'),
    (PAIR + 'x.pkl', 'x.pkl', 'pickle'),
    (INFER.replace('run', 'run/iter_2.pth'), 'run/iter_2.pth',
     'pickle torch npy'),
    (INFER, 'data/features/v1.npy', 'pickle torch npy npz'),
    (INFER, 'data/features/v1.json', 'pickle'),
    ('tools/infer.py run clip.mp4 --out o.json --recognizer '
     f'{RECOGNIZER} x.pth', 'x.pth', 'pickle torch npy'),
    (EVALUATE, 'detections.json', 'pickle'),
    (EVALUATE, 'data/annotations.json', 'pickle'),
    (EVALUATE.replace('data/annotations.json', 'Mine-Annotations'),
     'Mine-Annotations/videoname.npy', 'pickle torch npy npz'),
    ('tools/replay.py mine.py x.npz', 'x.npz', 'pickle torch npy npz'),
    ('tools/replay.py mine.py x.pkl', 'x.pkl', 'pickle'),
    ('tools/visualize.py x.npz', 'x.npz', 'pickle torch npy npz'),
    ('tools/report.py run', 'run/x.npz', 'pickle torch npy npz'),
    ('tools/export.py run/iter_2.pth o.pt2 --num-snippets 9', 'run/iter_2.pth',
     'pickle torch npy'),
    ('tools/convert_checkpoint.py co2net x.pth --out o.pth', 'x.pth',
     'pickle torch npy'),
    (f'tools/extract_features.py {RECOGNIZER} x.pth clip.mp4 --out o', 'x.pth',
     'pickle torch npy'),
    (PREPARE, 'data/annotations.json', 'pickle'),
    (PREPARE, 'data/features/v1.npy', 'pickle torch npy npz'),
    (PREPARE, 'data/features/v1.json', 'pickle'),
    (MIXED, 'mixed/v1.npz', 'pickle torch npy npz'),
    (MIXED, 'mixed/v1.pt', 'pickle torch npy npz'),
    (MIXED, 'mixed/v1.pth', 'pickle torch'),
    (MIXED, 'mixed/v1.h5', 'pickle'),
    (MIXED, 'mixed/v1.csv', 'pickle'),
    (BUNDLE, 'Mine-Annotations/videoname.npy', 'pickle torch npy npz'),
    (BUNDLE, 'Mine-Annotations/gt.json', 'pickle'),
    ('tools/prepare/custom.py --check data', 'data/features/v1.npy',
     'pickle torch npy npz'),
    ('tools/prepare/custom.py --check data', 'data/annotations.json',
     'pickle'),
) for form in forms.split()]


@pytest.mark.parametrize('command, path, form', BOMBS)
def test_nothing_in_a_file_runs(place, complaint, command, path, form):
    (place / 'clip.mp4').touch()
    bomb(path, form)
    if path.endswith('last_checkpoint'):  # then there is nothing to resume
        for checkpoint in place.glob('run/*.pth'):
            bomb(str(checkpoint), 'torch')
        with open(place / 'mine.py', 'a', encoding='utf-8') as file:
            file.write('\ntrain_cfg = dict(max_iters=0)')
    assert Path(path).name.rpartition('.')[0] in complaint(command)
    assert not (place / 'exploded').exists()


@pytest.mark.parametrize('form, load', [
    ('pickle', lambda path: pickle.loads(Path(path).read_bytes())),
    ('torch', lambda path: torch.load(path, weights_only=False)),
    ('npy', lambda path: np.load(path, allow_pickle=True)),
    ('npz', lambda path: np.load(path, allow_pickle=True)['index']),
])
def test_the_bombs_work(tmp_path, monkeypatch, form, load):
    monkeypatch.chdir(tmp_path)
    bomb('x', form)
    load('x')
    assert Path('exploded').is_dir()


# -- Outputs ------------------------------------------------------------------

# Their inputs do not exist: the output is looked at before.
OUTPUTS = [
    'tools/train.py mine.py --work-dir',
    'tools/test.py mine.py run/iter_2.pth --work-dir',
    'tools/test.py no.py no.pth --dump',
    'tools/infer.py no no --out',
    'tools/infer.py no no --out o.json --pictures',
    'tools/extract_features.py no.py no.pth no.mp4 --out',
    'tools/report.py no --out',
    'tools/visualize.py no.npz --out',
    'tools/replay.py no.py no.npz --out',
    'tools/evaluate.py --detections no --ann-file no --json',
    'tools/export.py --num-snippets 9 no',
    'tools/convert_checkpoint.py co2net no.pth --out',
    'tools/prepare/custom.py --annotations no --out',
    'tools/prepare/thumos14.py --annotations no --out',
    'tools/prepare/activitynet.py --annotations no --out',
    'tools/prepare/shrec21.py --training no no --test no no --out',
    'tools/prepare/hapt.py --raw no --out',
    'tools/benchmark.py no.py --work-dir',
    'tools/benchmark.py no.py --publish',
    'benchmarks/bsn.py no.py no.py --work-dir',
    'benchmarks/speed.py --out',
    'benchmarks/transfer.py --work-dir',
    'benchmarks/transfer.py --publish',
]


@pytest.mark.parametrize('command', OUTPUTS)
@pytest.mark.parametrize('folder', ['file/x', '/proc/x'])
def test_an_output_that_cannot_be_written(place, complaint, monkeypatch,
                                          command, folder):
    name = 'o.json'
    if 'dump' in command or 'report.py' in command:
        name = 'o.npz' if 'dump' in command else 'o.html'
    if command.startswith('benchmarks'):
        module = command.split()[0][:-3].replace('/', '.')
        monkeypatch.setattr(
            runpy, 'run_path',
            lambda path, run_name: runpy.run_module(module, None, run_name))
    said = complaint(f'{command} {folder}/{name}')
    assert re.search(f'{folder}.*(cannot be written|Not a dir|No such)', said)
    assert (place / 'file').read_text() == 'kept'


def test_every_output_is_among_them():
    """Of the options of the tools."""
    options = re.compile(
        r"add(?:_argument)?\(\s*'(--(?:out|dump|json|pictures|"
        r"publish|work-dir|scores-out))'")
    for path in [*ROOT.glob('tools/*.py'), *ROOT.glob('benchmarks/*.py')]:
        found = set(options.findall(path.read_text('utf-8')))
        if path.stem in ('report', 'visualize'):
            found.discard('--dump')  # which they read
        name = path.relative_to(ROOT).as_posix()
        if name == 'benchmarks/benchmark.py':
            name = 'tools/benchmark.py'
        tested = ' '.join(o for o in OUTPUTS if o.startswith(name))
        assert all(option in tested for option in found), (name, found)
    for path in ROOT.glob('tools/prepare/*.py'):
        assert any(path.name in command for command in OUTPUTS)
