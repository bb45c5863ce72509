# All durations and actions doubled, with snippets as long as before.
_base_ = ['./demo_thumos14.py']

options = {
    'data_root': '{{$ACTIONDIFF_DEMO_THUMOS14:data/demo_thumos14}}_double',
    'train_dataloader.dataset.planted.length_scale': 2.,
    'val_dataloader.dataset.planted.length_scale': 2.,
    'test_dataloader.dataset.planted.length_scale': 2.,
}
