# The planted actions at the videos, lengths, instances and classes of another
# data set: tools/prepare/thumos14.py writes the annotations.
_base_ = ['./demo.py']

layout = '{{$ACTIONDIFF_LAYOUT:data/thumos14/annotations.json}}'
options = {
    'model.num_classes': 20,
    'data_root': '{{$ACTIONDIFF_DEMO_THUMOS14:data/demo_thumos14}}',
    'train_dataloader.dataset.planted.layout_file': layout,
    'val_dataloader.dataset.planted.layout_file': layout,
    'test_dataloader.dataset.planted.layout_file': layout,
    # 19 instances end beyond their video: they count, as on THUMOS14
    'train_dataloader.dataset.odd_segments': 'keep',
    'val_dataloader.dataset.odd_segments': 'keep',
    'test_dataloader.dataset.odd_segments': 'keep',
    'train_cfg.max_iters': 600,
}
# ACRNet: 320 epochs, as its authors
entries = dict(bmn=None, acr=dict(options={'train_cfg.max_iters': 4000}))
