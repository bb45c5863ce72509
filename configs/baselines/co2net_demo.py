# CO2-Net (ACM MM 2021; 44.6 on THUMOS14 as published): the base branch with
# the optimiser of its authors.
_base_ = ['./base_demo.py']

optim_wrapper = dict(optimizer=dict(lr=3e-3, weight_decay=1e-3))
custom_hooks = []
