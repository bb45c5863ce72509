# What tools/benchmark.py compares. An entry is a config and ``options`` that
# override it; {data} is the name below. ``video_scores`` names the entry whose
# video-level scores label the proposals, ``note`` stands below the table.
# ``base`` and ``ceiling`` (which may be None) are the entries to which the
# table relates all others, ``compare`` lists pairs of entries to relate.
data = 'shrec21'
protocol = 'seconds'
# protocols whose averages are given besides
other_protocols = ['co2']
main_metric = 'det/mAP@0.10:0.70'
base, ceiling = 'base', 'supervised'
compare = [('actiondiff', 'base'), ('actiondiff', 'control')]

entries = {
    name:
    dict(config=f'configs/{config}_{{data}}.py', family=family, label=label)
    for name, config, family, label in (
        ('actiondiff', 'actiondiff', 'ours', 'ActionDiff'),
        ('control', 'baselines/selftrain', 'control',
         'Self-training, no diffusion'),
        ('base', 'baselines/base', 'wtal', 'Base branch'),
        ('co2net', 'baselines/co2net', 'wtal', 'CO2-Net style'),
        ('acr', 'baselines/acr', 'wtal', 'ACRNet style'),
        ('cola', 'baselines/cola', 'wtal', 'CoLA style'),
        ('delu', 'baselines/delu', 'wtal', 'DELU style'),
        ('supervised', 'baselines/supervised', 'supervised',
         'Base branch, full supervision'),
        ('bmn', 'baselines/bmn', 'supervised', 'BMN (MMAction2)'),
    )
}
entries['bmn'].update(
    video_scores='base',
    note='Proposals of no class, paired with video-level scores of "base".')
