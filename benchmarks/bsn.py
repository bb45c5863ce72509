# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Run all stages of BSN: TEM, proposal generation (PGM), PEM.

    python benchmarks/bsn.py configs/baselines/bsn_tem_shrec21.py \
        configs/baselines/bsn_pem_shrec21.py --work-dir work_dirs/bsn_shrec21

The stages hand on files through ``--work-dir``: ``tem_results``,
``pgm_proposals`` and ``pgm_features``. The networks and the generation are
MMAction2's own.
"""
from __future__ import annotations

import argparse
import copy
import os
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.runner import Runner

from mmaction_actiondiff import cli

_HEADER = 'tmin,tmax,tmin_score,tmax_score,score,match_iou,match_ioa'


def build_runner(config: str, folder: Path, seed: int) -> Runner:
    """The runner of a stage."""
    args = argparse.Namespace(
        config=config,
        cfg_options={'randomness.seed': seed},
        work_dir=str(folder),
        launcher='none',
        local_rank=0)
    return cli.build_runner(cli.load_config(args))


def generate(folder: Path, videos: list[dict[str, Any]], temporal_scale: int,
             proposals_cfg: dict, features_cfg: dict) -> None:
    """Write MMAction2's candidate proposals and their features.

    Args:
        folder (Path): Holds ``tem_results/VIDEO.csv``.
        videos (list[dict]): ``video_name``, ``duration_second``,
            ``duration_frame``, ``feature_frame`` and ``annotations`` of each.
        temporal_scale (int): Rows of a csv file.
        proposals_cfg (dict): Of ``generate_candidate_proposals``.
        features_cfg (dict): Of ``generate_bsp_feature``.
    """
    # not at the top: cli has to cure the imports of MMAction2 first
    from mmaction.models.localizers.utils import (generate_bsp_feature,
                                                  generate_candidate_proposals)
    tem, proposals, features = (
        folder / name
        for name in ('tem_results', 'pgm_proposals', 'pgm_features'))
    proposals.mkdir(exist_ok=True)
    features.mkdir(exist_ok=True)
    videos = copy.deepcopy(videos)
    for video in videos:
        # They take the largest overlap with the ground truth, which training
        # alone reads, and fail where a test video has none.
        video['annotations'] = video['annotations'] or [dict(segment=[0, 0])]
    indices = range(len(videos))
    tables = generate_candidate_proposals(indices, videos, str(tem),
                                          temporal_scale, **proposals_cfg)
    for name, table in tables.items():
        path = proposals / f'{name}.csv'
        np.savetxt(path, table, header=_HEADER, delimiter=',', comments='')
    found = generate_bsp_feature(indices, videos, str(tem), str(proposals),
                                 **features_cfg)
    for name, feature in found.items():
        np.save(features / f'{name}.npy', feature)


def main() -> None:
    parser = cli.make_parser(__doc__)
    add = parser.add_argument
    add('tem', help='path of the config of the first stage')
    add('pem', help='path of the config of the last stage')
    add('--work-dir', required=True, help='folder of all that is written')
    add('--seed', type=int, default=0, help='random seed')
    args = parser.parse_args()
    # The configs read it: files go from stage to stage through this folder.
    os.environ['ACTIONDIFF_BSN'] = args.work_dir
    folder = Path(args.work_dir)
    with cli.command():
        cli.check_output(f'{folder}/NAME')
        tem = build_runner(args.tem, folder / 'tem', args.seed)
        tem.train()
        tem.test()

        pem = build_runner(args.pem, folder / 'pem', args.seed)
        dataset = tem.test_dataloader.dataset
        videos = [item['data_samples'].metainfo for item in dataset]
        tem.logger.info(f'Generating proposals of {len(videos)} videos')
        generate(folder, videos, tem.cfg.model.temporal_dim,
                 pem.cfg.pgm_proposals_cfg, pem.cfg.pgm_features_cfg)
        pem.train()


if __name__ == '__main__':
    main()
