# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""The config in a checkpoint, read without running it."""
from __future__ import annotations

import ast
import math
import re
from typing import Any

from mmengine.config import Config


def config_from_text(text: str, source: str) -> Config:
    """Read the config that MMEngine has written into a checkpoint.

    MMEngine would run it as a Python program. Here it may hold nothing but
    assignments of plain values, and every ``type`` is the plain name of a
    registered class (MMEngine imports names with dots from anywhere). It is
    ``checkpoint['meta']['cfg']`` of the file ``source``.

    Raises:
        ValueError: If the text holds anything else.
    """
    content = {}
    try:
        for statement in ast.parse(text).body:
            if not isinstance(statement, ast.Assign) or not isinstance(
                    statement.targets[0], ast.Name):
                raise ValueError(f'line {statement.lineno} is no assignment')
            content[statement.targets[0].id] = _value(statement.value)
    except (SyntaxError, ValueError) as error:
        raise ValueError(
            f'{source}: the config in this checkpoint is refused, since '
            f'reading it would run code ({error}); name a config that you '
            'trust before the checkpoint') from None
    return Config(content)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and not node.args and isinstance(
            node.func, ast.Name) and node.func.id == 'dict':
        value = {
            str(word.arg): _value(word.value)
            for word in node.keywords if word.arg
        }
        if len(value) < len(node.keywords):
            raise ValueError(f'line {node.lineno} unpacks something')
    elif isinstance(node, ast.Dict):
        keys: list[Any] = [key and ast.literal_eval(key) for key in node.keys]
        value = dict(zip(keys, map(_value, node.values)))
    elif isinstance(node, (ast.List, ast.Tuple)):
        items = [_value(item) for item in node.elts]
        return items if isinstance(node, ast.List) else tuple(items)
    elif isinstance(node, ast.Name) and node.id in ('inf', 'nan'):
        return getattr(math, node.id)
    else:
        return ast.literal_eval(node)
    kind = value.get('type')
    if isinstance(kind, str) and not re.fullmatch(r'\w+', kind):
        raise ValueError(f'line {node.lineno} names the type {kind!r}')
    return value
