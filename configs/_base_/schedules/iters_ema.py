# ActionDiff of full width: averaged weights whose average forgets the first
# steps.
_base_ = ['./iters.py']

custom_hooks = [
    dict(
        type='EMAHook',
        ema_type='MomentumAnnealingEMA',
        momentum=0.002,
        gamma=5)
]
