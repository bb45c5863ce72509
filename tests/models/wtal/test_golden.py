"""Our baselines against the published code: tests/golden/README.md."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmaction.registry import MODELS, TASK_UTILS
from mmengine.config import Config

from mmaction_actiondiff.models.branch import (BranchOutput, Scores,
                                               append_background)
from mmaction_actiondiff.models.wtal.acrnet import pool_clusters
from mmaction_actiondiff.models.wtal.co2net import guide_gap
from mmaction_actiondiff.models.wtal.cola import normalise
from mmaction_actiondiff.models.wtal.delu import (curriculum_weight,
                                                  snippet_uncertainty)
from mmaction_actiondiff.models.wtal.official import convert_state_dict

GOLDEN = Path(__file__).resolve().parents[2] / 'golden'


def official_weights(golden):
    """The state dict that README.md describes, in the official layout."""
    state = {}
    for p, (name, shape) in enumerate(golden['parameters']):
        i = np.arange(np.prod(shape), dtype=np.float64)
        weight = 0.4 * np.sin(1.7 * p + 0.37 * i + 0.002 * i * i)
        weight += golden.get('added_to_weights', {}).get(name, 0)
        state[name] = torch.from_numpy(weight.astype(
            np.float32)).reshape(shape)
    return state


def grid(*sizes):
    return np.ogrid[tuple(slice(size) for size in sizes)]


def tensor(x):
    return torch.from_numpy(np.asarray(x, dtype=np.float32))


def make_inputs(num, channels, length):
    n, d, t = grid(num, channels, length)
    return tensor(1 + np.sin(0.3 * t * (1 + d / 4) + 0.9 * d + 1.7 * n))


def load(branch, method, golden):
    state = convert_state_dict(method, official_weights(golden))
    branch.load_state_dict({
        k.removeprefix('base_branch.'): v
        for k, v in state.items()
    })


class Case:
    """One method: its golden numbers, and our network with those weights."""

    def __init__(self, method, branch, **settings):
        golden = json.loads((GOLDEN / f'{method}.json').read_text())
        size = golden['settings']
        num, length = size['num_videos'], size['num_snippets']
        self.golden = golden
        self.branch = MODELS.build(
            dict(
                type=branch,
                num_classes=size['num_classes'],
                stream_channels=size['stream_channels'],
                **settings)).eval()
        load(self.branch, method, golden)
        self.inputs = make_inputs(num, sum(size['stream_channels']), length)
        self.label = torch.zeros(num, size['num_classes'])
        for n in range(num):
            self.label[n, n // 2 % size['num_classes']] = 1
            if n % 4 == 0:
                self.label[n, (n // 2 + 1) % size['num_classes']] = 1
        self.valid = torch.ones(num, 1, length, dtype=torch.bool)
        self.output = self.branch(self.inputs, self.valid)
        self.scores = self.branch.score(self.output, self.valid)

    def check_forward(self, **ours):
        forward = self.golden['forward']
        for name, value in ours.items():
            value = value[forward['videos']]
            if name == 'feature':
                value = value[:, ::3]
            np.testing.assert_allclose(
                value.detach(), forward[name], atol=1e-5, err_msg=name)

    def check_two_streams(self):
        output = self.output
        self.check_forward(
            feature=output.feature,
            cas=output.cas,
            attention=output.attention,
            rgb_attention=output.stream_attentions[0],
            flow_attention=output.stream_attentions[1])

    def check_losses(self, losses, names, parameters, loose=()):
        """Values, and norms of gradients.

        ``names`` maps their terms to ours, ``parameters`` their weights to
        ours. The terms in ``loose`` divide by n + 1e-4 labels there.
        """
        own = dict(self.branch.named_parameters())
        for theirs, ours in names.items():
            accuracy = 1e-4 if theirs in loose else 1e-5
            term = losses[ours]
            assert term.item() == pytest.approx(
                self.golden['losses'][theirs], rel=accuracy, abs=1e-6), theirs
            norms = self.golden['gradients'][theirs]
            gradients = torch.autograd.grad(
                term, [own[parameters[name]] for name in norms],
                retain_graph=True,
                allow_unused=True)
            for (name, norm), gradient in zip(norms.items(), gradients):
                got = 0. if gradient is None else gradient.norm().item()
                assert got == pytest.approx(
                    norm, rel=accuracy, abs=1e-6), (theirs, name)


CO2NET_TERMS = dict(
    mil='loss_mil',
    mil_suppressed='loss_mil_suppressed',
    co_activity='loss_co_activity',
    norm='loss_norm',
    guide='loss_guide',
    mutual='loss_mutual')
CO2NET_PARAMETERS = {
    'vAttn.bit_wise_attn.0.weight': 'rgb_gate.local.weight',
    'fAttn.channel_conv.0.bias': 'flow_gate.channel.bias',
    'vAttn.attention.0.weight': 'rgb_attention.conv1.weight',
    'fAttn.attention.5.bias': 'flow_attention.score.bias',
    'fusion.0.weight': 'fuse.weight',
    'classifier.4.weight': 'classifier.weight',
}


@pytest.mark.parametrize('method', ['co2net', 'delu'])
def test_co2net_and_delu(method):
    case = Case(
        method, 'CrossModalBranch', embed_channels=8, attention_channels=3)
    case.check_two_streams()
    loss = MODELS.build(
        dict(type=dict(co2net='CO2NetLoss', delu='DELULoss')[method]))
    names = dict(CO2NET_TERMS)
    if method == 'delu':
        names['evidential'] = 'loss_evidential'
    case.check_losses(
        loss(case.output, case.label, case.valid),
        names,
        CO2NET_PARAMETERS,
        loose=('mil', 'mil_suppressed'))


def test_delu_curriculum():
    """Where their sorting permutation is its own inverse, it is the ranks.

    They start with the uncertain snippets, we with the certain ones, as the
    paper: the same weights at the mirrored time.
    """
    golden = json.loads((GOLDEN / 'delu.json').read_text())['curriculum']
    n, k, t = grid(10, 4, 14)
    cas = tensor(0.25 * np.where(n % 2 == 0, t, 13 - t) +
                 np.sin(1.3 * k + 0.4 * n))
    attention = tensor(0.5 + 0.4 * np.sin(0.8 * t[:, :1] + 0.3 * n[:, :1]))
    attentions = torch.cat([attention, 0.9 * attention, 0.8 * attention], 1)
    valid = torch.ones(10, 1, 14, dtype=torch.bool)
    for iteration, value in golden['value_at_iteration'].items():
        weight = curriculum_weight(
            snippet_uncertainty(cas), valid, 1 - int(iteration) / 100)
        term = golden['weight'] * (weight * guide_gap(attentions, cas)).mean()
        assert term.item() == pytest.approx(value, rel=1e-5)


def test_ddgnet():
    case = Case('ddgnet', 'DDGBranch', embed_channels=8, attention_channels=3)
    case.check_two_streams()
    loss = MODELS.build(dict(type='DDGLoss'))
    case.check_losses(
        loss(case.output, case.label, case.valid),
        dict(
            consistency='loss_consistency',
            complementary='loss_complementary'), {
                'Attn.action_graph.0.0.weight': 'rgb_graph.action.0.weight',
                'Attn.background_graph.1.1.weight':
                'flow_graph.background.1.weight',
                'Attn.attentions.0.0.weight': 'rgb_attention.conv1.weight',
                'fusion.0.weight': 'fuse.weight',
                'classifier.4.weight': 'classifier.weight',
            })


def test_cola():
    case = Case('cola', 'CoLABranch', embed_channels=8)
    output = case.output
    cas = output.cas[:, :-1]
    case.check_forward(feature=output.feature, cas=cas, actionness=cas.sum(1))
    np.testing.assert_allclose(
        case.scores.video_score.detach(),
        case.golden['forward']['video_score'],
        atol=1e-5)
    loss = MODELS.build(dict(type='CoLALoss'))
    loss.mining_dropout = 0.
    case.check_losses(
        loss(output, case.label, case.valid),
        dict(action='loss_action', contrast='loss_contrast'), {
            'actionness_module.f_embed.0.weight': 'embed.weight',
            'actionness_module.f_embed.0.bias': 'embed.bias',
            'actionness_module.f_cls.0.weight': 'classifier.weight',
        })


def test_acrnet():
    case = Case('acrnet', 'ACRBranch', attention_channels=3, mix_heads=True)
    output = case.output
    action, background, chosen = pool_clusters(output, case.valid)
    forward = case.golden['forward']
    case.check_forward(
        class_score=case.scores.class_score,
        rgb_attention=output.stream_attentions[0],
        flow_attention=output.stream_attentions[1])
    assert [[''.join(str(int(x)) for x in row) for row in chosen[video]]
            for video in forward['videos']] == forward['action']
    for pooled, name in ((action, 'action_score'), (background,
                                                    'background_score')):
        np.testing.assert_allclose(
            pooled.softmax(1).detach(), forward[name], atol=1e-5)
    case.check_losses(
        MODELS.build(dict(type='ACRLoss'))(output, case.label, case.valid),
        dict(
            action='loss_action', background='loss_background',
            gce='loss_gce'), {
                'mca.atte': 'cross_attention.score',
                'mca.rgb_proj': 'cross_attention.rgb',
                'rgb_bwa.attn.0.weight': 'rgb_gate.local.weight',
                'flow_bwa.conv.0.bias': 'flow_gate.channel.bias',
                'cas_rgb_encoder.0.weight': 'rgb_heads.hidden.weight',
                'aas_flow_encoder.2.weight': 'flow_heads.actionness.2.weight',
            })


def test_acrnet_moving_average():
    """Another number of classes than THUMOS14's has an average over 13."""
    case = json.loads((GOLDEN / 'acrnet.json').read_text())
    pooled = case['pooled']
    for parameter in case['parameters']:
        name, shape = parameter
        if name.startswith('cas_') and '.2.' in name:
            shape[0] = pooled['num_classes']
    branch = MODELS.build(
        dict(
            type='ACRBranch',
            num_classes=pooled['num_classes'],
            stream_channels=[8, 8],
            attention_channels=3,
            pool_kernel=pooled['pool_kernel'],
            mix_heads=True)).eval()
    load(branch, 'acrnet', case)
    inputs = make_inputs(6, 16, 40)
    valid = torch.ones(6, 1, 40, dtype=torch.bool)
    output = branch(inputs, valid)
    np.testing.assert_allclose(
        branch.score(output, valid).class_score[0, :, ::5].detach(),
        pooled['class_score'],
        atol=1e-5)
    np.testing.assert_allclose(
        output.stream_attentions[0][0, :, ::5].detach(),
        pooled['rgb_attention'],
        atol=1e-5)


class TestProposals:
    """The list that the settings of our THUMOS14 configs give."""

    def golden(self, method):
        return json.loads((GOLDEN / f'{method}.json').read_text())['proposals']

    def localize(self, root, config, scores, video_score=None):
        """(label, start, end, score) by our config, in seconds."""
        cfg = Config.fromfile(root / 'configs' / 'baselines' / config)
        generator = TASK_UTILS.build(cfg.model.proposal_generator)
        if video_score is None:
            video_score = scores.video_score[0]
        contrast = scores.contrast
        segments, labels, confidence = generator(
            scores.class_score[0].numpy(),
            scores.attention[0, 0].numpy(),
            np.asarray(video_score),
            np.flatnonzero(
                np.asarray(video_score) >= cfg.model.video_score_thr),
            0.64,
            contrast=None if contrast is None else contrast[0].numpy())
        return np.column_stack([labels, segments, confidence])

    def check(self, found, expected):
        assert len(found) == len(expected)
        order = [
            np.lexsort(np.round(rows[:, [2, 1, 0, 3]], 4).T)
            for rows in (found, np.array(expected))
        ]
        np.testing.assert_allclose(
            found[order[0]], np.array(expected)[order[1]], atol=1e-5)

    @pytest.mark.parametrize('method', ['co2net', 'delu'])
    def test_co2net_and_delu(self, root, method):
        golden = self.golden(method)
        k, t = grid(4, 40)
        cas = tensor(2.5 * np.sin(0.31 * t + 2.1 * k) + 1.5 * np.sin(0.11 * t *
                                                                     (k + 1)) +
                     np.array([2.5, 0.5, 3.2, 0])[:, None])[None]
        t = np.arange(40)
        attention = tensor(0.5 + 0.3 * np.sin(0.7 * t) +
                           0.19 * np.sin(0.23 * t + 1))[None, None]
        valid = torch.ones(1, 1, 40, dtype=torch.bool)
        branch = MODELS.build(
            dict(
                type='CrossModalBranch',
                num_classes=3,
                stream_channels=[4, 4],
                embed_channels=8,
                attention_channels=3))
        scores = branch.score(
            BranchOutput(torch.zeros(1, 8, 40), cas, attention), valid)
        np.testing.assert_allclose(
            scores.video_score[0], golden['video_score'], atol=1e-5)
        expected = np.array(golden['list'])
        expected[:, 1:3] *= 0.64
        self.check(
            self.localize(root, f'{method}_thumos14.py', scores), expected)

    def test_cola(self, root):
        golden = self.golden('cola')
        k, t = grid(3, 30)
        cas = tensor(
            np.maximum(
                0.8 * np.sin(0.43 * t + 2.1 * k) + 0.6 * np.sin(0.17 * t *
                                                                (k + 1)) +
                np.array([1.37, -0.2, 1.1])[:, None], 0))[None]
        valid = torch.ones(1, 1, 30, dtype=torch.bool)
        branch = MODELS.build(
            dict(
                type='CoLABranch',
                num_classes=3,
                stream_channels=[4, 4],
                embed_channels=8))
        attention = normalise(cas.sum(1, keepdim=True), valid)
        scores = branch.score(
            BranchOutput(
                torch.zeros(1, 8, 30), append_background(cas, attention),
                attention), valid)
        self.check(
            self.localize(root, 'cola_thumos14.py', scores,
                          golden['video_score']), golden['list'])

    def test_acrnet(self, root):
        golden = self.golden('acrnet')
        k, t = grid(3, 24)
        score = tensor(0.5 + 0.28 * np.sin(0.51 * t + 2.1 * k) +
                       0.2 * np.sin(0.19 * t * (k + 1)))[None]
        found = self.localize(
            root, 'acr_thumos14.py',
            Scores(score.clamp(0, 1), score[:, :1] * 0, score[:, :, 0]),
            golden['video_score'])
        # they count frames from 1
        found[:, 1:3] += 1 / 25
        self.check(found, golden['list'])
