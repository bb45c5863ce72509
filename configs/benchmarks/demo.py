_base_ = ['./shrec21.py']
data = 'demo'
# the base branch is CO2-Net's
entries = dict(actiondiff_co2net=None, co2net=None)
