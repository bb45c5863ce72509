# What tools/benchmark.py compares. An entry is a config and options that
# override it; {data} is the name below. Further keys of an entry:
#   parts         {name: config} of the stages, the judged one last
#   commands      what to run instead of training; {run} is the folder of the
#                 run with PART.py, where part PART works in {run}/PART
#   env           environment that the configs read
#   needs         entries to run first; {NAME} is the folder of one's run,
#                 {NAME_checkpoint} its last checkpoint
#   video_scores  entry whose video-level scores label the proposals
#   weights       entry whose weights to judge, instead of training
#   metrics       the only ones that mean something
#   block         heading in the table
#   note          below the table
data = 'shrec21'
protocol = 'seconds'
# protocols whose averages are given besides
other_protocols = ['co2']
main_metric = 'det/mAP@0.10:0.70'
ours, base, ceiling = 'actiondiff', 'base', 'supervised'
compare = [('actiondiff', 'base'), ('actiondiff', 'control')]

_paired = 'Proposals of no class, paired with video-level scores of "base".'
entries = dict(
    actiondiff=dict(
        config='configs/actiondiff_{data}.py',
        family='ours',
        label='ActionDiff'),
    actiondiff_co2net=dict(
        config='configs/actiondiff_{data}_co2net.py',
        family='ours',
        label="ActionDiff on CO2-Net's branch"),
    control=dict(
        config='configs/baselines/selftrain_{data}.py',
        family='control',
        label='Self-training, no diffusion'),
    base=dict(
        config='configs/baselines/base_{data}.py',
        family='wtal',
        label='Base branch'),
    co2net=dict(
        config='configs/baselines/co2net_{data}.py',
        family='wtal',
        label='CO2-Net style'),
    acr=dict(
        config='configs/baselines/acr_{data}.py',
        family='wtal',
        label='ACRNet style'),
    cola=dict(
        config='configs/baselines/cola_{data}.py',
        family='wtal',
        label='CoLA style'),
    delu=dict(
        config='configs/baselines/delu_{data}.py',
        family='wtal',
        label='DELU style'),
    supervised=dict(
        config='configs/baselines/supervised_{data}.py',
        family='supervised',
        label='Base branch, full supervision'),
    bmn=dict(
        config='configs/baselines/bmn_{data}.py',
        family='supervised',
        label='BMN (MMAction2)',
        video_scores='base',
        note=_paired),
    bsn=dict(
        config='configs/baselines/bsn_pem_{data}.py',
        family='supervised',
        label='BSN (MMAction2)',
        video_scores='base',
        parts=dict(
            tem='configs/baselines/bsn_tem_{data}.py',
            pem='configs/baselines/bsn_pem_{data}.py'),
        commands=[[
            'benchmarks/bsn.py', '{run}/tem.py', '{run}/pem.py', '--work-dir',
            '{run}', '--seed', '{seed}'
        ]],
        env=dict(ACTIONDIFF_BSN='{run}'),
        note=_paired + ' Times and parameters are those of TEM and PEM; '
        'generating the proposals in between is not timed.'),
    tcanet=dict(
        config='configs/baselines/tcanet_{data}.py',
        family='supervised',
        label='TCANet (MMAction2) on BMN',
        needs=['bmn'],
        commands=[[
            'tools/test.py', '{bmn}/train.py', '{bmn_checkpoint}', '--dump',
            '{run}/proposals.npz', '--work-dir', '{run}/bmn', '--cfg-options',
            'test_dataloader.dataset.subset=[training,test]'
        ], ['tools/train.py', '{run}/train.py', '--work-dir', '{run}/train']],
        env=dict(ACTIONDIFF_BMN='{run}'),
        metrics=['proposal/AR@100'],
        note='Its published code loses the scores of its proposals: only the '
        'recall of all of them (AR@100) can be judged.'))
