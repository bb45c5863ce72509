"""Puts configs and tools into the wheel, where mim looks for them.

All else stands in setup.cfg.
"""
from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithConfigs(build_py):
    """Copies what the links in ``.mim`` stand for.

    Archives, and clones without symbolic links, have none.
    """

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, 'mmaction_actiondiff', '.mim')
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        links = ROOT / 'mmaction_actiondiff' / '.mim'
        for name in ('configs', 'tools', 'model-index.yml'):
            sources = [
                path for path in (ROOT / name, links / name)
                if path.is_dir() or path.suffix and path.is_file()
            ]
            if not sources:
                raise FileNotFoundError(
                    f'{ROOT} has no {name}: build from a clone or an archive '
                    'of the whole repository')
            if sources[0].is_dir():
                shutil.copytree(
                    sources[0],
                    target / name,
                    ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copy(sources[0], target / name)


setup(cmdclass=dict(build_py=BuildWithConfigs))
