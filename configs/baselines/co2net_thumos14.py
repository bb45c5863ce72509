# CO2-Net (ACM MM 2021; 44.6 as published) at its full width, with its
# post-processing, judged by its own protocol.
_base_ = ['./base_thumos14.py']

model = dict(
    base_branch=dict(embed_channels=2048),
    proposal_generator=dict(
        class_score_thrs=[], boundary_pad=0., min_length=0.))

val_evaluator = dict(protocol='co2')
test_evaluator = val_evaluator
