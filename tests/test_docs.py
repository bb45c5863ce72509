"""The pages say what is: written from the code, with links that lead."""
from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import yaml

import mmaction_actiondiff

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([
    *ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md'),
    ROOT / 'configs' / 'README.md', ROOT / 'benchmarks' / 'README.md'
])


@pytest.fixture(scope='module')
def reference() -> dict:
    return runpy.run_path(str(ROOT / 'docs' / 'make_reference.py'))


@pytest.mark.parametrize(
    'page', ['docs/configs.md', 'docs/protocols.md', 'configs/metafile.yml'])
def test_written_pages_are_current(reference, page):
    assert (ROOT / page).read_text('utf-8') == reference['PAGES'][page](), (
        'run python docs/make_reference.py')


def test_a_setting_without_a_meaning_is_refused(reference):

    class Part:
        """A part.

        Args:
            known (int): What is known. Defaults to 3.
        """

        def __init__(self, known: int = 3, unknown: int = 4) -> None:
            pass

    with pytest.raises(ValueError, match='Part: .* explain unknown'):
        list(reference['settings'](Part))


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r'[^\w\- ]', '', heading.lower()).strip().replace(' ', '-')


@pytest.mark.parametrize(
    'page', PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = re.sub(
        r'^```.*?^```', '', page.read_text('utf-8'), flags=re.S | re.M)
    for link in re.findall(r'\]\(([^)\s]+)\)', text):
        if link.startswith('https://'):
            continue
        name, _, heading = link.partition('#')
        target = page.parent / name if name else page
        assert target.exists(), link
        if heading:
            headings = re.findall(r'^#+ (.*)$', target.read_text('utf-8'),
                                  re.M)
            assert heading in map(anchor, headings), link


def test_named_tests_exist():
    """Those that docs/reliability.md names."""
    text = (ROOT / 'docs' / 'reliability.md').read_text('utf-8')
    path = None
    number = 0
    for name, test in re.findall(
            r'`(?:tests/)?([\w/]*test_\w+\.py)?(?:::(\w+\*?))?`', text):
        if name:
            path = ROOT / 'tests' / name
            assert path.is_file(), name
        if test:
            assert path is not None
            assert re.search(rf'def {test.rstrip("*")}',
                             path.read_text('utf-8')), test
            number += 1
    assert number > 40


def test_commands_name_files_that_exist():
    for page in PAGES:
        for name in re.findall(r'python (\w+/[\w/]+\.py)',
                               page.read_text('utf-8')):
            assert (ROOT / name).is_file(), f'{page.name}: {name}'


def test_one_version():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text('utf-8'))
    assert str(citation['version']) == mmaction_actiondiff.__version__
    changes = (ROOT / 'CHANGELOG.md').read_text('utf-8')
    assert re.search(r'^## (.*)$', changes,
                     re.M)[1] == str(citation['version'])


@pytest.mark.parametrize('folder',
                         ['mmaction_actiondiff', 'tools', 'benchmarks'])
def test_every_file_names_its_owners(folder):
    line = '# Copyright (c) mmaction_actiondiff contributors. All rights'
    for path in (ROOT / folder).rglob('*.py'):
        if '.mim' not in path.parts:
            first = path.read_text('utf-8').removeprefix(
                '#!/usr/bin/env python\n')
            assert first.startswith(line), path
