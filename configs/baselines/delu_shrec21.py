# DELU (ECCV 2022) on CO2-Net's branch: 46.4 on THUMOS14 as published.
_base_ = ['./co2net_shrec21.py']

model = dict(
    loss=dict(
        _delete_=True,
        type='DELULoss',
        mil_ratio={{_base_.model.loss.mil_ratio}},
        norm_weight={{_base_.model.loss.norm_weight}},
        evidential_ratio=20))
