"""What mim and pip find of the repository."""
from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import zipfile

import pytest
import yaml


def test_metafile_names_every_config(root):
    """mim finds configs by it, and by their base names alone."""
    index = yaml.safe_load((root / 'model-index.yml').read_text())
    models = [
        model for metafile in index['Import']
        for model in yaml.safe_load((root / metafile).read_text())['Models']
    ]
    configs = [
        path.relative_to(root) for path in (root / 'configs').rglob('*.py')
        if not {'_base_', 'benchmarks'} & set(path.parts)
    ]
    assert sorted(model['Config']
                  for model in models) == sorted(map(str, configs))
    assert sorted(model['Name']
                  for model in models) == sorted(path.stem for path in configs)


ALLOWED = ('mmaction.registry', 'mmaction.structures',
           'mmaction.evaluation.functional')


def test_only_the_light_parts_of_mmaction_are_imported(root):
    """The rest imports every model of mmaction2, of which some are broken."""
    found = {}
    for path in (root / 'mmaction_actiondiff').rglob('*.py'):
        if '.mim' in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            found.update({
                name: path
                for name in names if name.split('.')[0] == 'mmaction'
            })
    assert 'mmaction.registry' in found
    assert {
        name: path
        for name, path in found.items()
        if not f'{name}.'.startswith(tuple(f'{x}.' for x in ALLOWED))
    } == {}


@pytest.mark.slow
def test_wheel_holds_configs_and_tools(root, tmp_path):
    # Building leaves files behind: build a copy.
    source = shutil.copytree(
        root,
        tmp_path / 'source',
        symlinks=True,
        ignore=shutil.ignore_patterns('.*cache', '.git', '*.egg-info', 'build',
                                      'data', 'work_dirs'))
    subprocess.run([
        sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps',
        '--no-build-isolation', '-w',
        str(tmp_path),
        str(source)
    ],
                   check=True)
    wheel, = tmp_path.glob('mmaction_actiondiff-*.whl')
    names = set(zipfile.ZipFile(wheel).namelist())
    mim = 'mmaction_actiondiff/.mim/'
    for folder in ('configs', 'tools'):
        for path in (root / folder).rglob('*'):
            if path.suffix in ('.py', '.sh', '.yml'):
                assert f'{mim}{path.relative_to(root)}' in names
    assert f'{mim}model-index.yml' in names
    assert 'mmaction_actiondiff/models/actiondiff.py' in names
    assert not [n for n in names if n.startswith(('tests', 'benchmarks'))]
