"""ACRNet: its attention, its clusters, its losses by hand."""
from __future__ import annotations

from math import log

import pytest
import torch

from mmaction_actiondiff.models import ACRBranch, ACRLoss, BranchOutput
from mmaction_actiondiff.models.branch import append_background
from mmaction_actiondiff.models.pooling import snippet_rank
from mmaction_actiondiff.models.wtal import acrnet as A


def row(*values):
    return torch.tensor([[values]], dtype=torch.float32)


def chosen(x):
    return x.flatten().nonzero().flatten().tolist()


def small_branch(**kwargs):
    return ACRBranch(
        3, stream_channels=(8, 8), num_heads=2, attention_channels=4,
        **kwargs).eval()


def whole(x):
    return torch.ones_like(x[:, :1], dtype=torch.bool)


def test_size_of_the_published_network():
    attention = 2 * 1024**2 + 4 * 256**2
    conv3 = 3 * 1024**2 + 1024
    cas = conv3 + 1024 * 20 + 20
    actionness = 1024 * 512 + 512 + 512 + 1
    published = attention + 4 * conv3 + 2 * (cas + actionness)
    assert published == pytest.approx(22.33e6, rel=1e-3)
    count = sum(p.numel() for p in ACRBranch(20).parameters())
    # the gates of the pooled streams need a third of their convolutions
    assert count == published - 2 * 2 * 1024**2


def test_heads_of_the_attention_are_put_side_by_side():
    attention = A.CrossModalAttention(4, 2)
    with torch.no_grad():
        for conv in (attention.rgb, attention.flow):
            conv.weight.copy_(torch.eye(4).unsqueeze(-1))
        attention.score.copy_(100 * torch.eye(2).expand(2, 2, 2))
    # Head 1 sees channels 0-1, head 2 channels 2-3. In head 1 the snippets
    # of both streams agree, in head 2 they are swapped.
    rgb = torch.tensor([[[1., 0], [0, 1], [1, 0], [0, 1]]])
    flow = torch.tensor([[[1., 0], [0, 1], [0, 1], [1, 0]]])
    out, _ = attention(rgb, flow, whole(rgb))
    mixed = torch.tensor([[[1., 0], [0, 1], [0, 1], [1, 0]]])
    torch.testing.assert_close(out,
                               (rgb + torch.nn.functional.gelu(mixed)).tanh())


def test_rank_pool():
    cas = row(1, 4, 7, 10)
    rank = snippet_rank(row(.1, .9, .5, .4), whole(cas))
    assert rank.flatten().tolist() == [3, 0, 1, 2]
    mask = torch.tensor([[[False, True, True, False]]])
    # weights 1/2 and 1/3
    assert A.rank_pool(cas, rank, mask).item() == pytest.approx(
        (4 / 2 + 7 / 3) / (5 / 6))


def clusters(score, valid=None):
    valid = whole(score) if valid is None else valid
    return A.cluster_snippets(score, snippet_rank(score, valid), valid)


def test_clusters():
    score = row(.1, .9, .2, .8, .85, .15)
    assert chosen(clusters(score)) == [1, 3, 4]
    padded = torch.nn.functional.pad(score, (0, 9))
    valid = torch.arange(15).view(1, 1, -1) < 6
    assert chosen(clusters(padded, valid)) == [1, 3, 4]
    assert chosen(clusters(row(.3))) == [0]
    assert chosen(clusters(row(0, 0, 0))) == [0]


def test_refined_clusters():
    rank = torch.tensor([[[0, 1, 2, 3, 4]]])
    cas = row(6, 5, 4, -9, 0)
    action = rank < 4
    # rank-weighted mean (3 + 5/3 + 1 - 9/5) / (77/60) = 3.01; running means
    # 6, 5.5, 5, 1.5: the fourth snippet goes
    assert chosen(A.refine_clusters(cas, rank, action)) == [0, 1, 2]
    # only the last running mean, 2.25, reaches the reference, 1.40
    assert chosen(A.refine_clusters(row(0, 0, 0, 9, 0), rank, action)) == [0]
    assert chosen(A.refine_clusters(cas, rank, rank < 1)) == [0]
    # a falling rank
    assert chosen(A.refine_clusters(cas.flip(-1), rank.flip(-1), rank
                                    > 0)) == [2, 3, 4]


def test_losses_by_hand():
    cas = torch.tensor([[[8., 8., 0., 0.], [0., 0., 0., 0.]]])
    streams = (row(.9, .9, .1, .1), row(.5, .5, .5, .5))
    attention = sum(streams) / 2
    out = BranchOutput(cas, append_background(cas, attention), attention,
                       streams)
    valid = whole(cas)
    # class 0: snippets 0 and 1; class 1 follows the attention, too
    action, background, snippets = A.pool_clusters(out, valid)
    assert chosen(snippets[:, 0]) == [0, 1]
    assert action[0, 0].item() == pytest.approx(8)
    assert background[0, 0].item() == 0
    losses = ACRLoss()(out, torch.tensor([[1., 0.]]), valid)
    scores = small_branch().score(out, valid)
    torch.testing.assert_close(scores.class_score,
                               (cas.softmax(1) + attention) / 2)
    score = scores.video_score[0, 0].item()
    assert losses['loss_action'].item() == pytest.approx(-log(score), rel=1e-3)
    # two classes at 0: half of each is claimed
    assert losses['loss_background'].item() == pytest.approx(log(2))
    gce = [(1 - p**.7) / .7 for p in (.9, .9, .5, .5)]
    assert losses['loss_gce'].item() == pytest.approx(.1 * sum(gce))


def test_background_loss_stays_finite():
    assert A.background_loss(torch.tensor([[99., 0.]])).isfinite()
    assert A.background_loss(torch.zeros(2,
                                         4)).item() == pytest.approx(-log(.75))


@pytest.mark.parametrize('streams', [(8, ), (8, 4), (7, 7)])
def test_bad_streams(streams):
    with pytest.raises(ValueError, match=r'stream_channels=\(\d'):
        ACRBranch(3, stream_channels=streams)
