"""What mim and pip find of the repository."""
from __future__ import annotations

import ast
import configparser
import os
import shutil
import subprocess
import sys
import zipfile

import pytest
import yaml
from packaging.requirements import Requirement


def test_text_files_are_utf8(root):
    """Whatever the locale of the machine that wrote or reads them."""
    files = [root / 'setup.py'] + [
        path
        for folder in ('mmaction_actiondiff', 'tools', 'benchmarks', 'docs')
        for path in (root / folder).rglob('*.py')
    ]
    calls = [(path, node) for path in files
             for node in ast.walk(ast.parse(path.read_text('utf-8')))
             if isinstance(node, ast.Call)]
    found = 0
    for path, node in calls:
        name = getattr(node.func, 'attr', getattr(node.func, 'id', ''))
        method = isinstance(node.func, ast.Attribute)
        words = [ast.unparse(item) for item in node.args]
        if name in ('read_text', 'write_text') and method:
            encoded = len(words) > (name == 'write_text')
        elif name == 'open' and not method:
            encoded = len(words) > 1 and 'b' in words[1]
        else:
            continue
        found += 1
        assert encoded or any(
            item.arg == 'encoding'
            for item in node.keywords), f'{path}: {ast.unparse(node)}'
    assert found > 20


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


ALLOWED = ('mmaction.registry', 'mmaction.structures', 'mmaction.utils',
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


def copy(root, target, symlinks: bool):
    """The repository as a clone or, without links, as git leaves them."""
    shutil.copytree(
        root,
        target,
        symlinks=True,
        ignore=shutil.ignore_patterns('.*cache', '.git', '*.egg-info', 'build',
                                      'data', 'work_dirs'))
    if not symlinks:
        for path in (target / 'mmaction_actiondiff' / '.mim').iterdir():
            link = os.readlink(path)
            path.unlink()
            path.write_text(link)
    return target


def build(command: str, source, target):
    """Run setuptools as pip does, in a process of its own."""
    script = ('from setuptools import build_meta as backend\n'
              f'print(backend.build_{command}({str(target)!r}))')
    done = subprocess.run([sys.executable, '-c', script],
                          cwd=source,
                          capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    return target / done.stdout.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize('form', ['clone', 'without links', 'sdist'])
def test_wheel_holds_configs_and_tools(root, tmp_path, form):
    # Building leaves files behind: build a copy.
    source = copy(root, tmp_path / 'source', form != 'without links')
    if form == 'sdist':
        archive = build('sdist', source, tmp_path)
        shutil.unpack_archive(archive, tmp_path / 'unpacked')
        source, = (tmp_path / 'unpacked').iterdir()
    wheel = build('wheel', source, tmp_path)
    names = set(zipfile.ZipFile(wheel).namelist())
    mim = 'mmaction_actiondiff/.mim/'
    for folder in ('configs', 'tools'):
        for path in (root / folder).rglob('*'):
            if path.suffix in ('.py', '.sh', '.yml'):
                assert f'{mim}{path.relative_to(root)}' in names
    assert f'{mim}model-index.yml' in names
    assert {
        'mmaction_actiondiff/models/localizer.py',
        'mmaction_actiondiff/report.html'
    } <= names
    assert not [
        name for name in names if not name.startswith(('mmaction_actiondiff/',
                                                       'mmaction_actiondiff-'))
    ]


@pytest.mark.slow
def test_editable_beside_a_folder_of_the_name(root, tmp_path):
    """A clone of this name is no package of it, for a script beside it."""
    source = copy(root, tmp_path / 'mmaction_actiondiff', True)
    wheel = build('editable', source, tmp_path)
    site = tmp_path / 'site'
    zipfile.ZipFile(wheel).extractall(site)
    script = ('import site; site.addsitedir("site")\n'
              'from importlib.util import find_spec\n'
              'print(find_spec("mmaction_actiondiff").origin)')
    done = subprocess.run([sys.executable, '-S', '-c', script],
                          cwd=tmp_path,
                          env={
                              k: v
                              for k, v in os.environ.items()
                              if k != 'PYTHONPATH'
                          },
                          capture_output=True,
                          text=True)
    assert done.stdout.strip() == str(source /
                                      'mmaction_actiondiff/__init__.py')


@pytest.mark.slow
def test_wheel_without_configs_is_not_built(root, tmp_path):
    source = copy(root, tmp_path / 'source', False)
    shutil.rmtree(source / 'configs')
    with pytest.raises(AssertionError, match='has no configs'):
        build('wheel', source, tmp_path)


def test_requirements_are_pinned_alike(root):
    """The extra's ranges hold the versions that are tested."""
    pins = {}
    for line in (root / 'requirements' /
                 'runtime.txt').read_text().split('\n'):
        if line and not line.startswith('#'):
            requirement = Requirement(line)
            assert requirement.specifier, line
            pins[requirement.name] = requirement.specifier
    setup = configparser.ConfigParser()
    setup.read(root / 'setup.cfg')
    ranges = (
        setup['options.extras_require']['openmmlab'].split('\n') +
        setup['options']['install_requires'].split('\n'))
    for line in filter(None, ranges):
        requirement = Requirement(line)
        exact = [
            pin.version for pin in pins[requirement.name]
            if pin.operator == '=='
        ]
        assert all(requirement.specifier.contains(v) for v in exact), line
        if not exact:
            assert requirement.specifier in (pins[requirement.name], "")
    assert '-r runtime.txt' in (root / 'requirements' /
                                'tests.txt').read_text()
