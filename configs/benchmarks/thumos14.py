_base_ = ['./shrec21.py']
data = 'thumos14'
protocol = 'seconds212'
# the base branch is CO2-Net's
entries = dict(co2net=None)
