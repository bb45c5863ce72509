# Copyright (c) mmaction_actiondiff contributors. All rights reserved.
"""The config in a checkpoint, read without running it."""
from __future__ import annotations

import ast
import re
from typing import Any

from mmengine.config import Config

from mmaction_actiondiff.settings import walk


def config_from_text(text: str, source: str) -> Config:
    """Read the config that MMEngine has written into a checkpoint.

    MMEngine would run it as a Python program. Here it may hold nothing but
    assignments of plain values, and every ``type`` is the plain name of a
    registered class (MMEngine imports names with dots from anywhere). It is
    ``checkpoint['meta']['cfg']`` of the file ``source``.

    Raises:
        ValueError: If the text holds anything else.
    """
    content: dict[str, Any] = {}
    try:
        for statement in ast.parse(text).body:
            if not isinstance(statement, ast.Assign) or not isinstance(
                    statement.targets[0], ast.Name):
                raise ValueError(f'line {statement.lineno} is no assignment')
            value = _DictCalls().visit(statement.value)
            content[statement.targets[0].id] = ast.literal_eval(value)
        for node, key, path in walk(content):
            if key == 'type' and not re.fullmatch(r'\w+', str(node[key])):
                raise ValueError(f'{path} is the type {node[key]!r}')
    except (SyntaxError, TypeError, ValueError) as error:
        raise ValueError(
            f'{source}: the config in this checkpoint is refused, since '
            f'reading it would run code ({error}); name a config that you '
            'trust before the checkpoint') from None
    return Config(content)


class _DictCalls(ast.NodeTransformer):
    """Writes ``dict(a=1)`` as ``{'a': 1}``, ``inf`` and ``nan`` as numbers."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        names = [word.arg for word in node.keywords]
        if ast.unparse(node.func) != 'dict' or node.args or None in names:
            return node  # no literal, hence refused
        return ast.Dict([ast.Constant(name) for name in names],
                        [word.value for word in node.keywords])

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in ('inf', 'nan'):
            return ast.Constant(float(node.id))
        return node
