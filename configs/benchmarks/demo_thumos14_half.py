# All durations and actions halved, with snippets as long as before.
_base_ = ['./demo_thumos14.py']

options = {
    'data_root': '{{$ACTIONDIFF_DEMO_THUMOS14:data/demo_thumos14}}_half',
    'train_dataloader.dataset.planted.length_scale': 0.5,
    'val_dataloader.dataset.planted.length_scale': 0.5,
    'test_dataloader.dataset.planted.length_scale': 0.5,
}
