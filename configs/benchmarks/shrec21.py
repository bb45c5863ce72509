# What tools/benchmark.py compares. An entry is a config and options that
# override it; {data} is the name below. Further keys of an entry:
#   parts         {name: config} of the stages, the evaluated one last
#   commands      what to run instead of training; {run} is the folder of the
#                 run with PART.py, where part PART works in {run}/PART
#   env           environment that the configs read
#   needs         entries to run first; {NAME} is the folder of one's run,
#                 {NAME_checkpoint} its last checkpoint
#   video_scores  entry whose video-level scores label the proposals
#   metrics       the only ones that mean something
#   note          below the table
data = 'shrec21'
protocol = 'seconds'
# protocols whose averages are given besides
other_protocols = ['co2']
main_metric = 'det/mAP@0.10:0.70'
base, ceiling = 'base', 'supervised'
compare = [('actiondiff', 'base'), ('actiondiff', 'control')]

_paired = 'Proposals of no class, paired with video-level scores of "base".'
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
        ('bsn', 'baselines/bsn_pem', 'supervised', 'BSN (MMAction2)'),
        ('tcanet', 'baselines/tcanet', 'supervised',
         'TCANet (MMAction2) on BMN'),
    )
}
entries['bmn'].update(video_scores='base', note=_paired)
entries['bsn'].update(
    video_scores='base',
    parts=dict(
        tem='configs/baselines/bsn_tem_{data}.py',
        pem='configs/baselines/bsn_pem_{data}.py'),
    commands=[[
        'benchmarks/bsn.py', '{run}/tem.py', '{run}/pem.py', '--work-dir',
        '{run}', '--seed', '{seed}'
    ]],
    env=dict(ACTIONDIFF_BSN='{run}'),
    note=_paired + ' Times and parameters are those of the last stage, PEM.')
entries['tcanet'].update(
    needs=['bmn'],
    commands=[[
        'tools/test.py', '{bmn}/train.py', '{bmn_checkpoint}', '--dump',
        '{run}/proposals.npz', '--work-dir', '{run}/bmn', '--cfg-options',
        'test_dataloader.dataset.subset=[training,test]'
    ], ['tools/train.py', '{run}/train.py', '--work-dir', '{run}/train']],
    env=dict(ACTIONDIFF_BMN='{run}'),
    metrics=['proposal/AR@100'],
    note='Its published code loses the scores of its proposals: only the '
    'recall of all of them (AR@100) can be evaluated.')
