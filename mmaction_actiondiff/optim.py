# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""The optimizer's groups of parameters."""
from __future__ import annotations

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's, with one group for all parameters of equal options.

    With ``paramwise_cfg`` MMEngine gives each parameter a group of its own.
    An optimizer handles a group at a time: on a GPU each of its operations
    then starts one kernel per parameter instead of one for all of them.
    """

    def add_params(self,
                   params: list[dict],
                   module: nn.Module,
                   prefix: str = '',
                   is_dcn_module: int | float | None = None) -> None:
        """Add the parameters of ``module`` and its children to ``params``."""
        super().add_params(params, module, prefix, is_dcn_module)
        if prefix:  # of a child: the parent's call is still to come
            return
        groups: dict[str, dict[str, Any]] = {}
        for group in params:
            own = group.pop('params')
            key = repr(sorted(group.items()))
            groups.setdefault(key, dict(group, params=[]))['params'] += own
        params[:] = groups.values()
