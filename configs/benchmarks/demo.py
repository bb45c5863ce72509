_base_ = ['./shrec21.py']
data = 'demo'
# the base branch is CO2-Net's
entries = dict(co2net=None)
