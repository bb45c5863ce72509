# DELU (ECCV 2022) on CO2-Net's branch: 46.4 on THUMOS14 as published.
_base_ = ['./co2net_demo.py']

model = dict(loss=dict(_delete_=True, type='DELULoss'))
