# ActionDiff on CO2-Net's branch, THUMOS14's default; the default here is the
# plain branch, as in actiondiff_thumos14_compact.py.
_base_ = ['./actiondiff_shrec21.py']

model = dict(
    base_branch=dict(
        _delete_=True,
        type='CrossModalBranch',
        embed_channels=64,
        attention_channels=32,
        hidden_layers=3,
        kernel_size=5,
        dropout=0.5,
        attention_dropout=0.2,
        video_ratio=20),
    loss=dict(
        base=dict(
            _delete_=True,
            type='CO2NetLoss',
            mil_ratio=40,
            norm_weight=0.1,
            co_activity_weight=0.)))
