"""Each baseline by hand; test_branch.py has what holds for all of them."""
from math import e, exp, log, tanh

import pytest
import torch
from mmaction.registry import MODELS
from torch.nn.functional import gelu, pad

from mmaction_actiondiff.models import pooling
from mmaction_actiondiff.models.branch import BranchOutput, append_background
from mmaction_actiondiff.models.wtal import acrnet, co2net, cola, ddgnet, delu

LABEL = torch.tensor([[1., 0, 0], [1, 0, 1], [0, 1, 0], [0, 1, 1]])


def small_co2net():
    return MODELS.build(
        dict(
            type='CrossModalBranch',
            num_classes=3,
            stream_channels=(8, 8),
            embed_channels=12,
            attention_channels=4))


def row(*values):
    return torch.tensor([[values]], dtype=torch.float32)


def flags(text):
    return torch.tensor([[[c == '1' for c in text]]])


def text(x):
    return ''.join('01'[int(v)] for v in x.flatten())


def whole(x):
    return torch.ones_like(x[:, :1], dtype=torch.bool)


class TestSettings:

    @pytest.mark.parametrize('kind, millions', [
        ('CrossModalBranch', 34.1 - 4 * 1024**2 / 1e6),
        ('CoLABranch', 12.6),
        ('ACRBranch', 22.33 - 4 * 1024**2 / 1e6),
    ])
    def test_size_of_the_published_network(self, kind, millions):
        # The gates of pooled streams need a third of their convolutions.
        branch = MODELS.build(dict(type=kind, num_classes=20))
        count = sum(p.numel() for p in branch.parameters())
        assert count == pytest.approx(millions * 1e6, rel=3e-3)

    @pytest.mark.parametrize('kind, setting, match', [
        ('CrossModalBranch', dict(stream_channels=(8, )), r'two .*\(8,\)'),
        ('CrossModalBranch', dict(pool_kernel=4),
         'pool_kernel must be odd, got 4'),
        ('CrossModalBranch', dict(kernel_size=2), 'must be odd, got 2'),
        ('ConvBranch', dict(kernel_size=4), 'must be odd'),
        ('ACRBranch', dict(stream_channels=(8, 4)), r'\(8, 4\)'),
        ('ACRBranch', dict(stream_channels=(7, 7)), r'\(7, 7\)'),
        ('CoLALoss', dict(easy_ratio=0.5), 'easy_ratio=0.5'),
        ('MILLoss', dict(mil_ratio=0.5), 'got'),
    ])
    def test_bad_settings(self, kind, setting, match):
        if kind.endswith('Branch'):
            setting = dict(num_classes=3, **setting)
        with pytest.raises(ValueError, match=match):
            MODELS.build(dict(type=kind, **setting))


class TestCO2Net:

    def test_first_weights(self):
        branch = MODELS.build(dict(type='CrossModalBranch', num_classes=20))
        # kaiming uniform: the bound is sqrt(6 / fan_in)
        for conv, fan in ((branch.fuse, 2048), (branch.hidden[0], 3 * 2048),
                          (branch.rgb_gate.local,
                           3 * 1024), (branch.rgb_gate.channel, 3 * 1024)):
            assert conv.weight.abs().max().item() == pytest.approx(
                (6 / fan)**.5, rel=1e-3)
            assert not conv.bias.any()

    def test_dropouts(self):
        """Embedding and gates drop in training, and the attention's last
        layer leaves halves."""
        branch = small_co2net()
        inputs = torch.rand(2, 16, 200)
        output = branch(inputs, whole(inputs))
        assert (output.feature == 0).float().mean().item() == pytest.approx(
            .7, abs=.05)
        for attention in output.stream_attentions:
            assert (attention == .5).float().mean().item() == pytest.approx(
                .5, abs=.15)

    def test_gate(self):
        gate = co2net.ConsensusGate(6, 10, .5).eval()
        main, support = torch.randn(1, 6, 5), torch.randn(1, 10, 5)

        def f(x):
            return torch.where(x > 0, x, .2 * x)

        channel = main.mean(-1) @ gate.channel.weight[..., 0].T
        channel = f(channel + gate.channel.bias)
        local = f(
            torch.nn.functional.conv1d(
                support, gate.local.weight, gate.local.bias, padding=1))
        torch.testing.assert_close(
            gate(main, support, whole(main)),
            torch.sigmoid(channel.unsqueeze(-1) * local) * main)

    def test_contrast_is_measured_on_gated_logits(self):
        inputs = torch.randn(2, 16, 20)
        branch = small_co2net().eval()
        output = branch(inputs, whole(inputs))
        scores = branch.score(output, whole(inputs))
        torch.testing.assert_close(scores.contrast,
                                   output.attention * output.cas[:, :-1])

    def test_attention_terms(self):
        valid = flags('110')
        assert co2net.norm_loss(row(.2, .4, 9.),
                                valid).item() == pytest.approx(.3)
        cas = torch.tensor([[[0., 0.], [log(3.), 0.]]])  # background .75, .5
        assert co2net.guide_gap(row(
            .5, .9), cas).flatten().tolist() == pytest.approx([.25, .4])
        first, second = row(.2, .8).requires_grad_(), row(.6, .8)
        out = co2net.mutual_loss(first, second, flags('11'))
        assert out.item() == pytest.approx(.16 / 2)
        out.backward()  # through the half where the first is not the target
        assert first.grad.flatten().tolist() == pytest.approx([-.2, 0.])

    def test_co_activity(self):
        # T = 2, the CAS so sharp that H is snippet 0 and L snippet 1.
        feature = torch.tensor([[[1., 0.], [0., 1.]], [[0., 1.], [1., 0.]]])
        cas = torch.tensor([[50., 0.]]).repeat(2, 2, 1)
        label, valid = torch.ones(2, 1), whole(cas)

        def loss(feature, cas, label):
            return co2net.co_activity_loss(feature, cas, label, valid).item()

        # H0 = e0, L0 = e1, H1 = e1, L1 = e0: d(H,H) = 1, d(H0,L1) = 0
        assert loss(feature, cas, label) == pytest.approx(1.5)
        assert loss(feature[[0, 0]], cas, label) == 0
        assert loss(feature, torch.randn(2, 3, 2), torch.eye(2)) == 0

    def test_co_activity_takes_the_designated_pairs(self):
        inputs, label = torch.randn(7, 16, 20), torch.ones(7, 3)
        branch = small_co2net().eval()
        output = branch(inputs, whole(inputs))
        loss = co2net.CO2NetLoss(num_pairs=2)

        def term(order):
            moved = BranchOutput(*(x[order] for x in output[:3]),
                                 tuple(x[order] for x in output[3]))
            losses = loss(moved, label, whole(inputs))
            return losses['loss_co_activity'].item()

        value = term([0, 1, 2, 3, 4, 5, 6])
        assert term([3, 2, 1, 0, 6, 5, 4]) == pytest.approx(value, rel=1e-5)
        assert term([0, 2, 1, 3, 4, 5, 6]) != pytest.approx(value, rel=1e-5)


class TestDELU:

    def test_evidential_loss(self):
        assert delu.evidence(torch.tensor(
            [0., 1, 99, -99])).log().tolist() == pytest.approx([0, 1, 10, -10])
        logits = torch.tensor([[log(3.), 0.]])  # alpha 4 and 2, u = 1/3
        one = delu.evidential_loss(logits, torch.tensor([[1., 0.]]))
        assert one.item() == pytest.approx(2 / 3 * log(6 / 4))
        # two labels share 2 (1 - u): 1/3 for alpha 4, 2/3 for alpha 2
        two = delu.evidential_loss(logits, torch.tensor([[1., 1.]]))
        assert two.item() == pytest.approx(
            4 / 3 * (log(6 / 4) / 3 + log(6 / 2) * 2 / 3))
        assert delu.evidential_loss(logits, torch.zeros(1, 2)) == 0

    def test_snippet_uncertainty(self):
        logits = torch.tensor([[[0., 1.], [0., -10.]]])
        assert delu.snippet_uncertainty(
            logits).flatten().tolist() == pytest.approx([2 / 4, 2 / (e + 2)],
                                                        rel=1e-4)

    def test_curriculum_weight(self):
        uncertainty, valid = row(.9, .1, .5, .3, 0.), flags('11110')
        start = delu.curriculum_weight(uncertainty, valid, 0.)[0, 0, :4]
        # ranks 3, 0, 2, 1 of four: phi = .75, -.75, .25, -.25
        assert start.tolist() == pytest.approx([
            1 - .7 * tanh(.75), 1 + .7 * tanh(.75), 1 - .7 * tanh(.25),
            1 + .7 * tanh(.25)
        ])
        end = delu.curriculum_weight(uncertainty, valid, 1.)[0, 0, :4]
        torch.testing.assert_close(start + end, torch.full((4, ), 2.))
        middle = delu.curriculum_weight(uncertainty, valid, .5)
        assert (middle == 1).all()

    def test_pool_by_attention(self):
        x, attention = row(1, 2, 3, 4, 100), row(.2, .9, .1, .8, 0)
        valid = flags('11110')
        assert delu.pool_by_attention(x, attention, valid, 2).item() == 3
        assert delu.pool_by_attention(x, attention, valid, 9).item() == 2

    def test_two_terms_more_than_co2net(self):
        inputs = torch.randn(4, 16, 20)
        output = small_co2net().eval()(inputs, whole(inputs))
        plain = co2net.CO2NetLoss()(output, LABEL, whole(inputs))
        plain['loss_guide'] /= 2  # 0.4 instead of 0.8
        losses = delu.DELULoss()(output, LABEL, whole(inputs))
        assert set(losses) - set(plain) == {
            'loss_evidential', 'loss_progressive'
        }
        torch.testing.assert_close({k: losses[k] for k in plain}, plain)
        # half way, with equal weights, the new guide term is the old one
        torch.testing.assert_close(losses['loss_progressive'],
                                   losses['loss_guide'])


class TestDDGNet:

    def test_graph(self):
        # 20 snippets of two kinds; each hears its two nearest
        kind = torch.arange(20) % 2
        rgb = torch.eye(2)[kind].T[None] + .01 * torch.rand(1, 2, 20)
        attention = torch.full((1, 1, 20), .9)
        attention[..., 4:8], attention[..., 8] = .1, .7
        flow_attention = attention.clone()
        flow_attention[..., 8] = .3  # the streams disagree
        graph = ddgnet.build_graph(rgb, rgb, attention, flow_attention,
                                   whole(rgb))
        assert text(graph.is_background) == '0000' + '1111' + 12 * '0'
        assert text(graph.is_action) == '1111' + 5 * '0' + 11 * '1'
        for matrix, targets in ((graph.action, graph.is_action),
                                (graph.background, graph.is_background)):
            assert not matrix[0, ~targets[0, 0]].any()
            assert not matrix[0][:, ~targets[0, 0]].any()
            assert not matrix[0, kind == 0][:, kind == 1].any()
        total = graph.action + graph.background + graph.mixed
        torch.testing.assert_close(total.sum(1), torch.ones(1, 20))
        assert total[0].count_nonzero(0).max() == 2
        assert graph.mixed[0].any(0).nonzero().flatten().tolist() == [8]

    def test_consistency(self):
        distance, score = row(1, 2, 9), row(1, .5, .5)
        weights = [1, exp((1 - 2) / .5)]
        out = ddgnet.consistency(distance, score, flags('110'))
        assert out.item() == pytest.approx(
            (weights[0] + 2 * weights[1]) / sum(weights))
        assert ddgnet.consistency(distance, score, flags('000')) == 0

    def test_complementary_loss(self):
        cas = torch.zeros(1, 3, 2)  # a third each; one class of two is absent
        out = ddgnet.complementary_loss(cas, torch.tensor([[1., 0.]]),
                                        flags('11'))
        assert out.item() == pytest.approx(-log(2 / 3))


class TestCoLA:

    def test_scores(self):
        cas = torch.tensor([[[0., 2., 4., 2.], [0., 0., 1., 1.]]])
        attention = cola.normalise(cas.sum(1, keepdim=True), whole(cas))
        assert attention.flatten().tolist() == pytest.approx([0, .4, 1, .6])
        output = BranchOutput(cas, append_background(cas, attention),
                              attention)
        branch = cola.CoLABranch(2, (1, ), embed_channels=2, video_ratio=2)
        scores = branch.score(output, whole(cas))
        assert scores.class_score.tolist() == [[[0, .5, 1, .5], [0, 0, 1, 1]]]
        # the best two of four: 3 and 1
        assert scores.video_score[0, 0].item() == pytest.approx(
            exp(3) / (exp(3) + exp(1)))
        torch.testing.assert_close(1 - output.cas.softmax(1)[:, -1:],
                                   attention)

    def test_normalise_knows_the_padding(self):
        valid = flags('1100')
        assert cola.normalise(row(3, 1, 0, 0),
                              valid).tolist() == [[[1, 0, 0, 0]]]
        assert not cola.normalise(row(2, 2, 0, 0), valid).any()

    def test_dilation_and_erosion(self):
        x = flags('0001100000')
        assert text(cola.dilate(x, 3)) == '0011110000'
        assert text(cola.dilate(x, 6)) == '1111111000'
        x = flags('1111111011')
        assert text(cola.erode(x, 3)) == '0111110000'
        # a window of 6 reaches 3 to the left and 2 to the right
        assert text(cola.erode(x, 6)) == '0001100000'

    def test_hard_regions(self):
        #                 active: the six above the median
        a = row(0, 0, 0, 0, 5, 6, 7, 8, 9, 7, 0, 0)
        a = a + .01 * torch.arange(12)  # median between snippets 3 and 11
        action, background = cola.hard_regions(a, whole(a))
        assert text(action) == '000001101000'  # one in, not three or two
        assert text(background) == '011000000001'  # not one out
        again = cola.hard_regions(pad(a, (0, 7)), pad(whole(a), (0, 7)))
        assert text(again[0]) == text(action) + 7 * '0'
        assert text(again[1]) == text(background) + 7 * '0'

    def test_choose_top(self):
        score, k = row(5, 1, 4, 3), torch.tensor([[[2.]]])
        assert text(cola.choose_top(score, flags('1111'), k)) == '1010'
        assert text(cola.choose_top(score, flags('0111'), k)) == '0011'
        assert text(cola.choose_top(score, flags('0100'), k)) == '0100'

    def test_contrast(self):
        feature = torch.tensor([[[1., 2., 0., 0.], [0., 0., 3., -1.]]])

        def loss(*chosen):
            return cola.contrast(feature, *map(flags, chosen)).item()

        # query e0, key e0, negatives e1 and -e1: similarities 1, 0, 0
        near = 1 / .07
        assert loss('1000', '0100', '0011') == pytest.approx(
            log(exp(near) + 2) - near, abs=1e-5)
        # key: the mean of e0 and 3 e1
        near = 1 / 10**.5 / .07
        assert loss('1000', '1010', '0001') == pytest.approx(
            log(exp(near) + 1) - near, abs=1e-5)
        assert loss('0000', '1100', '0011') == 0

    def test_classification(self):
        # softmax .75 and .25 against 1 and 0, mean over the classes
        out = cola.binary_loss(
            torch.tensor([[log(3.), 0.]]), torch.tensor([[1., 0.]]))
        assert out.item() == pytest.approx(-log(.75))

    def test_mining_dropout_hides_snippets(self):
        a = row(*range(100))
        loss = cola.CoLALoss()
        easy, _ = loss.mine(a, whole(a))[0]
        assert easy.sum() == 20 and text(easy)[-20:] != 20 * '1'
        loss.mining_dropout = 0.
        easy, _ = loss.mine(a, whole(a))[0]
        assert text(easy) == 80 * '0' + 20 * '1'


class TestACRNet:

    @staticmethod
    def clusters(score, valid=None):
        valid = whole(score) if valid is None else valid
        found = acrnet.cluster_snippets(score,
                                        pooling.snippet_rank(score, valid),
                                        valid)
        return text(found)

    @pytest.mark.parametrize(
        'mix, values',
        [
            (False, [[1., 0], [0, 1], [0, 1], [1, 0]]),
            # (T, D) = (2, 4), filled head by head with (D / H, T) of each
            (True, [[1., 0], [0, 1], [0, 1], [1, 0]]),
        ])
    def test_merging_of_the_heads(self, mix, values):
        attention = acrnet.CrossModalAttention(4, 2, mix)
        with torch.no_grad():
            eye = torch.eye(4).view(4, 2, 2).permute(1, 0, 2)
            attention.rgb.copy_(eye)
            attention.flow.copy_(eye)
            attention.score.copy_(100 * torch.eye(2).expand(2, 2, 2))
        # Head 1 sees channels 0-1, head 2 channels 2-3. In head 1 the
        # snippets of both streams agree, in head 2 they are swapped.
        rgb = torch.tensor([[[1., 0], [0, 1], [1, 0], [0, 1]]])
        flow = torch.tensor([[[1., 0], [0, 1], [0, 1], [1, 0]]])
        out, _ = attention(rgb, flow, whole(rgb))
        torch.testing.assert_close(out,
                                   (rgb + gelu(torch.tensor([values]))).tanh())

    def test_clusters(self):
        # centre .9; .85 is nearer to it than to .1; then .8 to .883; then .2
        # is not
        score = row(.1, .9, .2, .8, .85, .15)
        assert self.clusters(score) == '010110'
        valid = flags('111111' + 9 * '0')
        assert self.clusters(pad(score, (0, 9)), valid) == '010110' + 9 * '0'
        assert self.clusters(row(.3)) == '1'
        assert self.clusters(row(.3, .4)) == '01'
        # of equals, all but the last
        assert self.clusters(row(0, 0, 0)) == '110'

    def test_rank_pool(self):
        cas = row(1, 4, 7, 10)
        rank = pooling.snippet_rank(row(.1, .9, .5, .4), whole(cas))
        assert rank.flatten().tolist() == [3, 0, 1, 2]
        # weights 1/2 and 1/3: less than 1 together
        assert acrnet.rank_pool(
            cas, rank, flags('0110')).item() == pytest.approx(4 / 2 + 7 / 3)
        assert acrnet.rank_pool(cas, rank,
                                flags('0111')).item() == pytest.approx(
                                    (4 / 2 + 7 / 3 + 10 / 4) / (13 / 12))

    def test_refined_clusters(self):
        rank = torch.tensor([[[0, 1, 2, 3, 4]]])
        cas, action = row(6, 5, 4, -9, 0), rank < 4

        def refine(*args):
            return text(acrnet.refine_clusters(*args))

        # rank-weighted mean (3 + 5/3 + 1 - 9/5) / (77/60) = 3.01; running
        # means 6, 5.5, 5, 1.5: the fourth snippet goes
        assert refine(cas, rank, action) == '11100'
        # one place alone, the last, reaches the reference: one snippet stays
        assert refine(row(0, 0, 0, 9, 0), rank, action) == '10000'
        # none does, of a single negative one counted half: it stays
        assert refine(-cas, rank, rank < 1) == '10000'
        assert refine(cas.flip(-1), rank.flip(-1), rank > 0) == '00111'

    def test_losses(self):
        cas = torch.tensor([[[8., 8, 8, 0, 0, 0], [0., 0, 0, 0, 0, 0]]])
        streams = (row(.9, .9, .9, .1, .1, .1), row(.5, .5, .5, .5, .5, .5))
        attention = sum(streams) / 2
        output = BranchOutput(cas, append_background(cas, attention),
                              attention, streams)
        action, background, chosen = acrnet.pool_clusters(output, whole(cas))
        assert text(chosen[:, 0]) == '111000'
        assert action[0, 0].item() == pytest.approx(8)
        assert background[0, 0].item() == 0
        losses = acrnet.ACRLoss()(output, torch.tensor([[1., 0.]]), whole(cas))
        score = action.softmax(1)[0, 0].item()
        assert losses['loss_action'].item() == pytest.approx(
            -log(score), rel=1e-3)
        # two classes at 0: half of each is claimed
        assert losses['loss_background'].item() == pytest.approx(log(2))
        gce = [(1 - p**.7) / .7 for p in (.9, .9, .5, .5)]
        assert losses['loss_gce'].item() == pytest.approx(.1 * sum(gce))

    def test_gce_is_a_mean_over_the_videos(self):
        attention = torch.tensor([[[.5, .2, .9]], [[.4, .4, .4]]])
        target = torch.tensor([[[True, False, False]], [[True, True, False]]])

        def term(p):
            return (1 - p**.7) / .7

        out = acrnet.gce_loss(attention, target, whole(attention))
        first = term(.5) + (term(.8) + term(.1)) / 2
        second = term(.4) + term(.6)
        assert out.item() == pytest.approx((first + second) / 2, rel=1e-5)

    def test_background_loss_stays_finite(self):
        assert acrnet.background_loss(torch.tensor([[99., 0.]])).isfinite()
        assert acrnet.background_loss(torch.zeros(
            2, 4)).item() == pytest.approx(-log(.75))
