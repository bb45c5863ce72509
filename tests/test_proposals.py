import numpy as np
import pytest
from mmaction.registry import TASK_UTILS

from mmaction_actiondiff.proposals import (ProposalGenerator, oic_score,
                                           soft_nms, threshold_spans, upsample)

# One class, six snippets: two actions, the second as long as weak.
CAS = np.array([0.1, 0.8, 0.8, 0.2, 0.5, 0.0])


def smooth_scores(num_classes=4, length=80, seed=0):
    rng = np.random.default_rng(seed)
    noise = rng.random((num_classes, length + 8))
    kernel = np.ones(9) / 9
    curves = np.stack([np.convolve(x, kernel, 'valid') for x in noise])
    low, high = curves.min(), curves.max()
    return (curves - low) / (high - low)


def naive_runs(curve, thresholds):
    runs = []
    for thr in sorted(thresholds):
        start = None
        for t, value in enumerate([*curve, -np.inf]):
            if value > thr and start is None:
                start = t
            elif value <= thr and start is not None:
                runs.append((start, t))
                start = None
    return runs


class TestUpsample:

    def test_centres(self):
        # Snippet centres 0.5, 1.5; samples at 0.25, 0.75, 1.25, 1.75.
        np.testing.assert_allclose(
            upsample(np.array([[0., 1.]]), 2), [[0, 0.25, 0.75, 1]])

    def test_odd_factor_keeps_the_values_at_centres(self):
        curves = smooth_scores()
        np.testing.assert_allclose(upsample(curves, 5)[:, 2::5], curves)

    def test_one_snippet(self):
        np.testing.assert_array_equal(upsample(np.array([0.3]), 4), [0.3] * 4)

    @pytest.mark.parametrize('factor', [0, 1.5])
    def test_bad_factor(self, factor):
        with pytest.raises(ValueError, match=f'got {factor}'):
            upsample(CAS, factor)


class TestThresholdSpans:

    def test_by_hand(self):
        spans, rows = threshold_spans(CAS, [0.4, 0.15])
        assert spans.tolist() == [[1, 5], [1, 3], [4, 5]]
        assert rows.tolist() == [0, 0, 0]

    def test_equal_is_not_above(self):
        spans, _ = threshold_spans(CAS, [0.5])
        assert spans.tolist() == [[1, 3]]

    def test_same_as_naive_loop(self):
        curves = np.round(smooth_scores(seed=3), 1)  # plateaus and ties
        thresholds = [0.5, 0., 0.3, 0.9, 0.3, 1., 0.7]
        spans, rows = threshold_spans(curves, thresholds)
        expected = [naive_runs(c, thresholds) for c in curves]
        assert [[tuple(s) for s in spans[rows == r]]
                for r in range(len(curves))] == expected
        assert (np.diff(rows) >= 0).all()

    @pytest.mark.parametrize('curve, thrs', [(CAS, []), (CAS * 0, [0.])])
    def test_nothing(self, curve, thrs):
        spans, rows = threshold_spans(curve, thrs)
        assert spans.shape == (0, 2) and rows.shape == (0, )


class TestOIC:

    def test_by_hand(self):
        spans = np.array([[1, 3], [4, 5], [0, 6], [1, 5], [0, 4]])
        expected = [
            # margin 0.5: half of 0.1 and half of 0.2 over 1 snippet
            0.8 - 0.15,
            # margin 0.25: quarters of 0.2 and 0 over half a snippet
            0.5 - 0.1,
            # nothing outside
            2.4 / 6,
            # margin 1
            2.3 / 4 - 0.05,
            # nothing on the left, 0.5 on the right
            1.9 / 4 - 0.5,
        ]
        np.testing.assert_allclose(oic_score(CAS, spans), expected)

    def test_ratio_and_rows(self):
        curves = np.stack([np.zeros(6), CAS])
        spans = np.array([[4, 5], [4, 5]])
        scores = oic_score(curves, spans, 1., np.array([1, 0]))
        np.testing.assert_allclose(scores, [0.5 - 0.1, 0])

    def test_scaling(self):
        spans, _ = threshold_spans(CAS, [0.1, 0.3])
        np.testing.assert_allclose(
            oic_score(CAS * 0.5, spans),
            oic_score(CAS, spans) * 0.5)


class TestSoftNMS:
    # IoU: a-b 2/4, a-c 0 (they touch), b-c 1/4.
    spans = np.array([[0, 3], [1, 4], [3, 5]])
    scores = np.array([0.9, 0.8, 0.5])

    @pytest.mark.parametrize(
        'kwargs, keep, scores',
        [
            (dict(), [0, 2, 1
                      ], [0.9, 0.5, 0.8 * np.exp(-(0.25 + 0.0625) / 0.3)]),
            (dict(sigma=1e9), [0, 1, 2], [0.9, 0.8, 0.5]),
            (dict(tiou_thr=0.3), [0, 2, 1
                                  ], [0.9, 0.5, 0.8 * np.exp(-0.25 / 0.3)]),
            (dict(method='linear'), [0, 2, 1], [0.9, 0.5, 0.8 * 0.5 * 0.75]),
            (dict(method='hard', tiou_thr=0.4), [0, 2], [0.9, 0.5]),
            (dict(method='hard', tiou_thr=0.5), [0, 1, 2], [0.9, 0.8, 0.5]),
            (dict(min_score=0.4), [0, 2], [0.9, 0.5]),
            (dict(max_num=1), [0], [0.9]),
            # 3 of 6 long: the threshold is 0.2 + 0.5 * 0.6 = 0.5
            (dict(
                method='hard', tiou_thr=0.2, wide_tiou_thr=0.8,
                video_length=6), [0, 1, 2], [0.9, 0.8, 0.5]),
            (dict(
                method='hard', tiou_thr=0.2, wide_tiou_thr=0.7,
                video_length=6), [0, 2], [0.9, 0.5]),
        ])
    def test_by_hand(self, kwargs, keep, scores):
        got, new = soft_nms(self.spans, self.scores, **kwargs)
        assert got.tolist() == keep
        np.testing.assert_allclose(new, scores)

    def test_classes_do_not_meet(self):
        keep, scores = soft_nms(self.spans, self.scores, np.array([1, 0, 1]))
        assert keep.tolist() == [0, 1, 2]
        np.testing.assert_allclose(scores, self.scores)

    def test_many_classes_same_as_one_by_one(self):
        rng = np.random.default_rng(0)
        start = rng.integers(0, 90, 300)
        spans = np.stack([start, start + rng.integers(1, 20, 300)], axis=1)
        scores, labels = rng.random(300), rng.integers(0, 5, 300)
        keep, new = soft_nms(spans, scores, labels, min_score=0.05)
        assert (np.diff(new) <= 0).all()
        for c in range(5):
            own = np.flatnonzero(labels == c)
            one, one_new = soft_nms(spans[own], scores[own], min_score=0.05)
            assert keep[labels[keep] == c].tolist() == own[one].tolist()
            np.testing.assert_array_equal(new[labels[keep] == c], one_new)

    @pytest.mark.parametrize('method', ['gaussian', 'linear', 'hard'])
    def test_identical_spans(self, method):
        # Decays to (almost) nothing must not be NaN, nor repeat a candidate.
        keep, scores = soft_nms(
            np.array([[2, 4]] * 3), np.ones(3), method=method, sigma=1e-4)
        assert keep.tolist() == ([0] if method == 'hard' else [0, 1, 2])
        assert np.isfinite(scores).all()

    def test_ties(self):
        spans = np.array([[4, 6], [0, 3], [0, 2], [4, 6]])
        keep, _ = soft_nms(spans, np.ones(4), np.array([0, 1, 1, 1]))
        assert keep[:2].tolist() == [0, 2]

    @pytest.mark.parametrize('kwargs, message', [
        (dict(method='soft'), "got 'soft'"),
        (dict(sigma=0), 'sigma must be > 0, got 0'),
        (dict(tiou_thr=-1), 'tiou_thr must be >= 0, got -1'),
        (dict(min_score=-1), 'min_score must be >= 0, got -1'),
    ])
    def test_bad_values(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            soft_nms(self.spans, self.scores, **kwargs)

    def test_empty_interval(self):
        with pytest.raises(ValueError, match=r'got \[3 3\]'):
            soft_nms(np.array([[0, 2], [3, 3]]), np.ones(2))


class TestProposalGenerator:
    attention = np.full(6, 0.5)

    def test_by_hand(self):
        generator = TASK_UTILS.build(
            dict(
                type='ProposalGenerator',
                attention_thrs=[],
                # CAS normalised: 0.125, 1, 1, 0.25, 0.625, 0
                class_score_thrs=[0.2, 0.5, 0.7],
                score_curve='class',
                boundary_pad=0.,
                min_length=0.,
                nms=None))
        segments, labels, scores = generator(
            np.stack([CAS * 0, CAS]), self.attention, np.array([0.1, 0.4]),
            [1], 0.64)
        assert labels.tolist() == [1, 1, 1] and labels.dtype == np.int64
        np.testing.assert_allclose(segments,
                                   [[0.64, 1.92], [0.64, 3.2], [2.56, 3.2]])
        np.testing.assert_allclose(scores,
                                   np.array([0.65, 0.525, 0.4]) + 0.2 * 0.4)

    @pytest.mark.parametrize('curve, expected', [
        ('class', 0.65),
        ('weighted', 0.325),
        ('normalized', 1 - (0.125 + 0.25) / 2),
    ])
    def test_score_curve(self, curve, expected):
        generator = ProposalGenerator(
            attention_thrs=[],
            class_score_thrs=[0.7],
            score_curve=curve,
            video_score_weight=0.)
        _, _, scores = generator(CAS[None], self.attention, np.ones(1), [0],
                                 1.)
        np.testing.assert_allclose(scores, [expected])

    def test_a_given_contrast_replaces_the_curve(self):
        generator = ProposalGenerator(
            attention_thrs=[], class_score_thrs=[0.7], video_score_weight=0.)
        contrast = np.array([[0., 0, 0, 0, 0, 0], [2., 9, 7, 4, 0, 0]])
        segments, labels, scores = generator(
            np.stack([CAS * 0, CAS]),
            self.attention,
            np.ones(2), [1],
            1.,
            contrast=contrast)
        # the run [1, 3): half of 2 and half of 4 over one snippet outside
        assert segments.tolist() == [[0.5, 3.5]] and labels.tolist() == [1]
        np.testing.assert_allclose(scores, [8 - 3])

    def test_attention_runs_serve_every_chosen_class(self):
        generator = ProposalGenerator(
            attention_thrs=[0.4, 0.45],
            class_score_thrs=[],
            boundary_pad=0.,
            min_length=0.,
            nms=None)
        segments, labels, scores = generator(
            np.stack([CAS * 0.5, CAS, CAS]), CAS, np.array([0.3, 0.1, 0.2]),
            [0, 2], 2.)
        # The two thresholds give the same runs: once each.
        order = np.lexsort((segments[:, 0], labels))
        assert labels[order].tolist() == [0, 0, 2, 2]
        assert segments[order].tolist() == [[2, 6], [8, 10]] * 2
        assert (np.diff(scores) <= 0).all()

    def test_no_class_no_proposal(self):
        segments, labels, scores = ProposalGenerator()(CAS[None],
                                                       self.attention,
                                                       np.ones(1), [], 1.)
        assert segments.shape == (0, 2) and len(labels) == len(scores) == 0

    def test_time(self):
        """Padding, clipping to the video, and snippets of other lengths."""
        generator = ProposalGenerator(
            attention_thrs=[],
            class_score_thrs=[0.5, 0.7],
            boundary_pad=0.5,
            min_length=1)
        args = CAS[None], self.attention, np.ones(1), [0]
        segments, _, scores = generator(*args, 1.)
        assert segments.tolist() == [[0.5, 3.5], [3.5, 5.5]]
        clipped, _, _ = generator(*args, 1., duration=5.2)
        assert clipped.tolist() == [[0.5, 3.5], [3.5, 5.2]]
        gone, _, _ = generator(*args, 1., duration=3.)
        assert gone.tolist() == [[0.5, 3.]]
        slow, _, slow_scores = generator(*args, 10.)
        np.testing.assert_allclose(slow, segments * 10)
        np.testing.assert_array_equal(slow_scores, scores)
        # The first snippet starts at 2 s: the video is as much longer.
        moved, _, _ = generator(*args, 1., offset=2.)
        np.testing.assert_allclose(moved, segments + 2)

    def test_min_length_is_in_snippets(self):
        for factor in (1, 3):
            segments, _, _ = ProposalGenerator(
                attention_thrs=[],
                class_score_thrs=[0.5],
                upsample_factor=factor,
                min_length=1.5)(CAS[None], self.attention, np.ones(1), [0], 1.)
            assert len(segments) == 1 and segments[0, 0] < 1.1

    def test_upsampled_boundaries(self):
        # Half of 0 ... 1 ... 0 is crossed half-way between the centres.
        segments, _, _ = ProposalGenerator(
            attention_thrs=[],
            class_score_thrs=[0.49],
            upsample_factor=10,
            boundary_pad=0.,
            min_length=0.)(np.array([[0., 0, 1, 0, 0]]), np.ones(5),
                           np.ones(1), [0], 1.)
        np.testing.assert_allclose(segments, [[2., 3.]], atol=0.11)

    def test_max_per_video_keeps_the_best(self):
        scores = smooth_scores()
        args = scores, scores.mean(0), np.full(4, 0.3), range(4), 1.
        for nms in (None, dict(type='gaussian', sigma=0.3)):
            every = ProposalGenerator(nms=nms, max_per_video=None)(*args)
            best = ProposalGenerator(nms=nms, max_per_video=7)(*args)
            assert len(every[0]) > 7
            for many, few in zip(every, best):
                np.testing.assert_array_equal(many[:7], few)

    def test_min_score(self):
        scores = smooth_scores()
        for nms in (None, dict(type='linear')):
            generator = ProposalGenerator(nms=nms, min_score=0.3)
            kept = generator(scores, scores.mean(0), np.full(4, 0.3), range(4),
                             1.)[2]
            assert len(kept) and kept.min() >= 0.3

    def test_permuting_classes_commutes(self):
        scores = smooth_scores()
        attention, video = scores.max(0), np.array([0.3, 0.1, 0.25, 0.4])
        order = np.array([2, 0, 3, 1])
        generator = ProposalGenerator()
        one = generator(scores, attention, video, [0, 2, 3], 0.64)
        two = generator(scores[order], attention, video[order], [0, 1, 2],
                        0.64)
        assert len(one[0]) > 50
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], order[two[1]])
        np.testing.assert_array_equal(one[2], two[2])

    @pytest.mark.parametrize('length', [1, 2, 30])
    @pytest.mark.parametrize('value', [0., 0.4, 1.])
    @pytest.mark.parametrize('factor', [1, 4])
    def test_constant_scores(self, length, value, factor):
        segments, labels, scores = ProposalGenerator(
            upsample_factor=factor, min_length=1)(np.full((3, length), value),
                                                  np.full(length, value),
                                                  np.full(3, value), range(3),
                                                  0.5)
        assert segments.dtype == scores.dtype == np.float64
        if value:  # all there is to say: the whole video
            assert segments.tolist() == [[0, length * 0.5]] * 3
            assert labels.tolist() == [0, 1, 2]
            np.testing.assert_allclose(scores, value * value + 0.2 * value)
        else:
            assert segments.shape == (0, 2) and labels.shape == (0, )

    def test_rounding_errors_are_no_boundaries(self):
        noise = np.random.default_rng(0).random((1, 30)) * 1e-12
        segments, _, _ = ProposalGenerator(attention_thrs=[])(0.4 + noise,
                                                              np.ones(30),
                                                              np.ones(1), [0],
                                                              1.)
        assert segments.tolist() == [[0, 30]]

    @pytest.mark.parametrize('which, name', [
        (0, 'class_score'),
        (1, 'attention'),
        (2, 'video_score'),
    ])
    def test_bad_scores_are_named(self, which, name):
        args = [CAS[None].copy(), self.attention.copy(), np.ones(1)]
        args[which].flat[-1] = np.nan
        with pytest.raises(
                ValueError, match=f'{name} must be finite, got nan'):
            ProposalGenerator()(*args, [0], 1.)
        args[which].flat[-1] = 7.
        with pytest.raises(ValueError, match=rf'{name} must be in \[0, 1\]'):
            ProposalGenerator()(*args, [0], 1.)

    def test_bad_shapes_and_times(self):
        with pytest.raises(ValueError, match=r'got \(1, 6\), \(5,\), \(1,\)'):
            ProposalGenerator()(CAS[None], np.ones(5), np.ones(1), [0], 1.)
        with pytest.raises(ValueError, match='got 1.0 and 0'):
            ProposalGenerator()(
                CAS[None], self.attention, np.ones(1), [0], 1., duration=0)

    @pytest.mark.parametrize('kwargs, message', [
        (dict(attention_thrs=[], class_score_thrs=[]), 'both'),
        (dict(score_curve='cas'), "got 'cas'"),
        (dict(upsample_factor=0), 'got 0'),
        (dict(boundary_pad=-1), 'boundary_pad must be >= 0, got -1'),
        (dict(max_per_video=0), 'max_per_video must be >= 1 or None, got 0'),
        (dict(nms=dict(type='none')), "got 'none'"),
    ])
    def test_bad_settings(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            ProposalGenerator(**kwargs)

    def test_unknown_nms_setting(self):
        with pytest.raises(TypeError, match='alpha'):
            ProposalGenerator(nms=dict(type='gaussian', alpha=0.3))
