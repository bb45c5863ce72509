# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""Weakly supervised baselines, each whole in its file: network, scoring and
loss. Each of them can also be the base of ActionDiff."""
