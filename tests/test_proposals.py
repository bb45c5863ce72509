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

    def test_starts(self):
        # Values at 0 and 1; behind the last the curve goes on.
        np.testing.assert_allclose(
            upsample(np.array([[0., 1.]]), 2, 'start'), [[0, 0.5, 1, 1.5]])
        assert upsample(np.array([0.3]), 3, 'start').tolist() == [0.3] * 3

    def test_bad_place(self):
        with pytest.raises(ValueError, match="got 'end'"):
            upsample(CAS, 2, 'end')

    @pytest.mark.parametrize('factor', [0, 1.5])
    def test_bad_factor(self, factor):
        with pytest.raises(ValueError, match=f'got {factor}'):
            upsample(CAS, factor)


class TestThresholdSpans:

    def test_by_hand(self):
        spans, rows, thrs = threshold_spans(CAS, [0.4, 0.15])
        assert spans.tolist() == [[1, 5], [1, 3], [4, 5]]
        assert rows.tolist() == [0, 0, 0]
        assert thrs.tolist() == [0.15, 0.4, 0.4]

    def test_equal_is_not_above(self):
        spans, _, _ = threshold_spans(CAS, [0.5])
        assert spans.tolist() == [[1, 3]]

    def test_same_as_naive_loop(self):
        curves = np.round(smooth_scores(seed=3), 1)  # plateaus and ties
        thresholds = [0.5, 0., 0.3, 0.9, 0.3, 1., 0.7]
        spans, rows, thrs = threshold_spans(curves, thresholds)
        expected = [naive_runs(c, thresholds) for c in curves]
        assert [[tuple(s) for s in spans[rows == r]]
                for r in range(len(curves))] == expected
        assert (np.diff(rows) >= 0).all()
        for span, row, thr in zip(spans, rows, thrs):
            assert (curves[row, slice(*span)] > thr).all()

    @pytest.mark.parametrize('curve, thrs', [(CAS, []), (CAS * 0, [0.])])
    def test_nothing(self, curve, thrs):
        spans, rows, found = threshold_spans(curve, thrs)
        assert spans.shape == (0, 2)
        assert rows.shape == found.shape == (0, )


class TestOIC:

    def test_by_hand(self):
        spans = np.array([[1, 3], [4, 5], [0, 6], [1, 5], [0, 4]])
        expected = [
            # margin 0.5: 0.1 on the left, nothing on the right
            0.8 - 0.1,
            # margin 0.25: 0.2 on the left, nothing on the right
            0.5 - 0.2,
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
        spans, _, _ = threshold_spans(CAS, [0.1, 0.3])
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
            # with their ends moved: a-b 3/5, a-c 1/6, b-c 2/5
            (dict(end_pad=1), [0, 2, 1], [
                0.9, 0.5 * np.exp(-1 / 36 / 0.3),
                0.8 * np.exp(-(0.36 + 0.16) / 0.3)
            ]),
            (dict(method='hard', tiou_thr=0.4), [0, 2], [0.9, 0.5]),
            (dict(method='hard', tiou_thr=0.5), [0, 1, 2], [0.9, 0.8, 0.5]),
            (dict(min_score=0.4), [0, 2], [0.9, 0.5]),
            (dict(max_num=1), [0], [0.9]),
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

    @pytest.mark.parametrize('method', ['gaussian', 'hard'])
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
        (dict(sigma=0), 'sigma > 0, got 0.0, 0.0 and 0'),
        (dict(tiou_thr=-1), 'tiou_thr and .* >= 0, .* got -1'),
        (dict(end_pad=-1), 'end_pad >= 0, .* got 0.0, -1'),
    ])
    def test_bad_values(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            soft_nms(self.spans, self.scores, **kwargs)

    def test_negative_scores(self):
        scores = -np.array([0.1, 0.2, 0.3])
        keep, new = soft_nms(self.spans, scores, method='hard')
        assert keep.tolist() == [0, 2] and new.tolist() == [-0.1, -0.3]
        assert not len(soft_nms(self.spans, scores, min_score=0.)[0])

    def test_empty_interval(self):
        with pytest.raises(ValueError, match=r'got \[3 3\]'):
            soft_nms(np.array([[0, 2], [3, 3]]), np.ones(2))


class TestProposalGenerator:
    attention = np.full(6, 0.5)
    # as in the published codes
    plain = dict(
        curve_power=1., outer_ratio=0.25, boundary_pad=0., min_length=0.)

    def one(self,
            classes=(0, ),
            unit=1.,
            video=(1., ),
            cas=CAS[None],
            **kwargs):
        """Localise in CAS, one class, one second a snippet."""
        call = {
            key: kwargs.pop(key)
            for key in ('duration', 'offset', 'contrast') if key in kwargs
        }
        generator = ProposalGenerator(**{**self.plain, **kwargs})
        return generator(cas, self.attention, np.array(video),
                         np.array(classes), unit, **call)

    def test_by_hand(self):
        generator = TASK_UTILS.build(
            dict(
                type='ProposalGenerator',
                # CAS normalised: 0.125, 1, 1, 0.25, 0.625, 0
                class_score_thrs=[0.2, 0.5, 0.7],
                curve='class',
                nms=dict(sigma=1e9),
                **self.plain))
        segments, labels, scores = generator(
            np.stack([CAS * 0, CAS]), self.attention, np.array([0.1, 0.4]),
            np.array([1]), 0.64)
        assert labels.tolist() == [1, 1, 1] and labels.dtype == np.int64
        np.testing.assert_allclose(segments,
                                   [[0.64, 1.92], [0.64, 3.2], [2.56, 3.2]])
        np.testing.assert_allclose(
            scores, np.array([0.7, 0.525, 0.3]) * 0.4**0.5, rtol=1e-6)

    @pytest.mark.parametrize('kwargs, expected', [
        (dict(), 0.7 * 0.36**0.5),
        (dict(video_score_weight=2.), 0.7 * 0.36**2),
        (dict(video_score_weight=0.), 0.7),
        (dict(video_score_rule='sum'), 0.7 + 0.5 * 0.36),
        (dict(video_score_rule='sum',
              video_score_weight=0.2), 0.7 + 0.2 * 0.36),
        (dict(video=(0., )), 0.),
        (dict(video=(0., ), video_score_rule='sum'), 0.7),
        (dict(video=(1., )), 0.7),
    ])
    def test_the_video_score_joins_the_contrast(self, kwargs, expected):
        kwargs = dict(dict(video=(0.36, )), **kwargs)
        _, _, scores = self.one(
            class_score_thrs=[0.7], curve='class', min_score=None, **kwargs)
        np.testing.assert_allclose(scores, [expected])

    def test_by_default_each_class_has_boundaries_of_its_own(self):
        attention = np.array([0., 0, 1, 1, 1, 1])
        segments, _, _ = ProposalGenerator(
            class_score_thrs=[0.5], curve='class',
            **self.plain)(CAS[None], attention, np.ones(1), np.array([0]), 1.)
        assert sorted(segments.tolist()) == [[1, 3], [4, 5]]

    @pytest.mark.parametrize(
        'kwargs, expected',
        [
            (dict(curve='class'), 0.7),
            (dict(curve='product'), 0.35),
            (dict(branch_contrast=True, contrast=-3 * CAS[None] + 1), -2.1),
            # a curve that nobody asked for
            (dict(contrast=9 * CAS[None]), 0.35),
            # 0.1 on the left is below the threshold
            (dict(curve='class', mute_below_thr=True, distinct=False), 0.8),
        ])
    def test_contrast(self, kwargs, expected):
        _, _, scores = self.one(
            class_score_thrs=[0.7],
            video_score_weight=0.,
            min_score=None,
            **kwargs)
        np.testing.assert_allclose(scores, [expected])

    def test_a_flat_curve_prefers_the_whole_action(self):
        """An action of a high peak and a long, lower rest."""
        action = np.array([0., 0, .2, .3, .9, .9, .3, .3, .2, 0, 0, 0])
        best = {}
        for power in (1., 0.25):
            segments, _, scores = ProposalGenerator(
                curve='class', curve_power=power,
                boundary_pad=0.)(action[None], np.ones(12), np.ones(1),
                                 np.array([0]), 1.)
            best[power] = segments[0].tolist()
        assert best == {1.: [4, 6], 0.25: [2, 9]}
        # the contrast of the curve to the power
        inside = (action[2:9]**0.25).mean()
        np.testing.assert_allclose(scores[0], inside)

    def test_not_normalized(self):
        segments, _, _ = self.one(
            class_score_thrs=[0.6], curve='class', normalize=False)
        assert segments.tolist() == [[1, 3]]  # 0.5 alone would be 0.625

    def test_a_run_of_many_thresholds(self):
        thrs = dict(class_score_thrs=[0.65, 0.7, 0.75])
        once = self.one(**thrs)
        assert len(once[0]) == 1
        many = self.one(distinct=False, min_score=None, **thrs)
        assert many[0].tolist() == once[0].tolist() * 3
        decay = np.exp(-1 / 0.3)
        np.testing.assert_allclose(many[2],
                                   once[2] * [1, decay, decay * decay])

    def test_attention_runs_serve_every_chosen_class(self):
        generator = ProposalGenerator(
            attention_thrs=[0.4, 0.45],
            class_score_thrs=[],
            nms=dict(sigma=1e9),
            **self.plain)
        segments, labels, scores = generator(
            np.stack([CAS * 0.5, CAS, CAS]), CAS, np.array([0.3, 0.1, 0.2]),
            np.array([0, 2]), 2.)
        # The two thresholds give the same runs: once each.
        order = np.lexsort((segments[:, 0], labels))
        assert labels[order].tolist() == [0, 0, 2, 2]
        assert segments[order].tolist() == [[2, 6], [8, 10]] * 2
        assert (np.diff(scores) <= 0).all()

    def test_no_class(self):
        segments, labels, scores = self.one(classes=[])
        assert segments.shape == (0, 2) and labels.shape == scores.shape

    def test_time(self):
        """Padding, clipping, offset, and snippets of other lengths."""
        settings = dict(class_score_thrs=[0.5, 0.7], boundary_pad=0.5)
        segments, _, scores = self.one(**settings)
        assert segments.tolist() == [[0.5, 3.5], [3.5, 5.5]]
        for duration, expected in ((5.2, [[0.5, 3.5],
                                          [3.5, 5.2]]), (3., [[0.5, 3.]])):
            clipped, _, _ = self.one(duration=duration, **settings)
            assert clipped.tolist() == expected
        slow, _, slow_scores = self.one(unit=10., **settings)
        np.testing.assert_allclose(slow, segments * 10)
        np.testing.assert_array_equal(slow_scores, scores)
        moved, _, _ = self.one(offset=0.25, **settings)
        np.testing.assert_allclose(moved, segments + 0.25)

    def test_min_length_is_in_snippets(self):
        for factor in (1, 3):
            segments, _, _ = self.one(
                class_score_thrs=[0.5], upsample_factor=factor, min_length=1.5)
            assert len(segments) == 1 and segments[0, 0] < 1.1

    @pytest.mark.parametrize('place, segment', [('centre', [2., 3.]),
                                                ('start', [1.5, 2.5])])
    def test_upsampled_boundaries(self, place, segment):
        # Half of 0 ... 1 ... 0 is crossed half-way between the values.
        generator = ProposalGenerator(
            class_score_thrs=[0.49],
            upsample_factor=10,
            snippet_place=place,
            **self.plain)
        segments, _, _ = generator(
            np.array([[0., 0, 1, 0, 0]]), np.ones(5), np.ones(1),
            np.array([0]), 1.)
        np.testing.assert_allclose(segments, [segment], atol=0.11)

    def test_padded_ends_are_in_snippets(self):
        """The IoU of a run with the shorter one in it, at any resolution."""
        cas = np.array([[0.3, 0.9, 0.9, 0.9, 0.3, 0.3]])
        for factor in (1, 4):
            for end_pad, number in ((0, 2), (1, 1)):  # IoU 3 / 6 and 4 / 7
                _, _, scores = self.one(
                    cas=cas,
                    class_score_thrs=[0.2, 0.6],
                    curve='class',
                    normalize=False,
                    upsample_factor=factor,
                    nms=dict(type='hard', tiou_thr=0.55, end_pad=end_pad))
                assert len(scores) == number

    def test_max_per_video_keeps_the_best(self):
        scores = smooth_scores()
        args = (scores, scores.mean(0), np.full(4, 0.3), np.arange(4), 1.)
        every = ProposalGenerator(max_per_video=None)(*args)
        best = ProposalGenerator(max_per_video=7)(*args)
        assert len(every[0]) > 7
        for many, few in zip(every, best):
            np.testing.assert_array_equal(many[:7], few)

    def test_min_score(self):
        scores = smooth_scores()
        args = (scores, scores.mean(0), np.full(4, 0.3), np.arange(4), 1.)
        kept = ProposalGenerator(min_score=0.1)(*args)[2]
        assert len(kept) and kept.min() >= 0.1
        all_scores = ProposalGenerator(
            min_score=None, max_per_video=None)(*args)[2]
        assert all_scores.min() < 0

    def test_permuting_classes_commutes(self):
        scores = smooth_scores()
        attention, video = scores.max(0), np.array([0.3, 0.1, 0.25, 0.4])
        order = np.array([2, 0, 3, 1])
        generator = ProposalGenerator()
        one = generator(scores, attention, video, np.arange(4), 0.64)
        two = generator(scores[order], attention, video[order], np.arange(4),
                        0.64)
        assert len(one[0]) > 50
        np.testing.assert_array_equal(one[0], two[0])
        np.testing.assert_array_equal(one[1], order[two[1]])
        np.testing.assert_array_equal(one[2], two[2])

    @pytest.mark.parametrize('length', [1, 2, 30])
    @pytest.mark.parametrize('value', [0., 0.4, 1.])
    @pytest.mark.parametrize('factor', [1, 4])
    @pytest.mark.parametrize('place', ['centre', 'start'])
    def test_constant_scores(self, length, value, factor, place):
        generator = ProposalGenerator(
            upsample_factor=factor, snippet_place=place, **self.plain)
        segments, labels, scores = generator(
            np.full((3, length), value), np.full(length, value),
            np.full(3, value), np.arange(3), 0.5)
        assert segments.dtype == scores.dtype == np.float64
        if value:  # all there is to say: the whole video
            assert segments.tolist() == [[0, length * 0.5]] * 3
            assert labels.tolist() == [0, 1, 2]
            np.testing.assert_allclose(scores, value * value * value**0.5)
        else:
            assert segments.shape == (0, 2) and labels.shape == (0, )

    def test_rounding_errors_are_no_boundaries(self):
        noise = np.random.default_rng(0).random((1, 30)) * 1e-12
        segments, _, _ = ProposalGenerator()(0.4 + noise, np.ones(30),
                                             np.ones(1), np.array([0]), 1.)
        assert segments.tolist() == [[0, 30]]

    @pytest.mark.parametrize('which, name', [
        (0, 'class_score'),
        (1, 'attention'),
        (2, 'video_score'),
    ])
    def test_bad_scores_are_named(self, which, name):
        args = [CAS[None].copy(), self.attention.copy(), np.ones(1)]
        rest = np.array([0]), 1.
        args[which].flat[-1] = np.nan
        with pytest.raises(
                ValueError, match=rf'{name} must be in \[0, 1\], got nan'):
            ProposalGenerator()(*args, *rest)
        args[which].flat[-1] = 7.
        with pytest.raises(ValueError, match=rf'{name} must be in \[0, 1\]'):
            ProposalGenerator()(*args, *rest)

    def test_bad_shapes_and_times(self):
        rest = np.array([0]), 1.
        with pytest.raises(ValueError, match=r'got \(1, 6\), \(5,\), \(1,\)'):
            ProposalGenerator()(CAS[None], np.ones(5), np.ones(1), *rest)
        with pytest.raises(ValueError, match='got 1.0 and 0'):
            ProposalGenerator()(
                CAS[None], self.attention, np.ones(1), *rest, duration=0)

    def test_classes_are_not_forgotten(self):
        """0.1.0 had seconds_per_snippet in their place."""
        for classes in (0.64, np.array([0.64]), 0):
            with pytest.raises(ValueError, match='before seconds_per_snippet'):
                ProposalGenerator()(CAS[None], self.attention, np.ones(1),
                                    classes, 6.)

    def test_missing_contrast(self):
        with pytest.raises(ValueError, match='branch_contrast=True needs'):
            self.one(branch_contrast=True)

    @pytest.mark.parametrize('kwargs, message', [
        (dict(class_score_thrs=[]), 'both'),
        (dict(curve='cas'), "got 'cas'"),
        (dict(video_score_rule='max'), "got 'max'"),
        (dict(mute_below_thr=True), 'set distinct=False'),
        (dict(curve_power=0), 'curve_power must be > 0, got 0'),
        (dict(upsample_factor=0), 'got 0'),
        (dict(snippet_place='end', upsample_factor=2), "got 'end'"),
        (dict(class_score_thrs=[0, -.1]), 'class_score_thrs must be in .* -0'),
        (dict(attention_thrs=[float('nan')]), 'attention_thrs must be in'),
        (dict(min_length=float('nan')), 'min_length must be >= 0, got nan'),
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
