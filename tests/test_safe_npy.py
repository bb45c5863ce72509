"""Loading pickled npy files without running them."""
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from mmaction_actiondiff.safe_npy import load_object_array


class Malicious:

    def __reduce__(self):
        return os.mkdir, ('ran', )


def test_lists_strings_and_arrays(tmp_path):
    array = np.empty(4, dtype=object)
    array[:] = [[[0.5, 1.0]], ['a', b'b'],
                np.arange(3, dtype=np.float32),
                np.float64(2)]
    np.save(tmp_path / 'a.npy', array)
    loaded = load_object_array(tmp_path / 'a.npy')
    assert loaded[0] == [[0.5, 1.0]] and loaded[1] == ['a', b'b']
    assert loaded[2].dtype == np.float32 and loaded[2].tolist() == [0, 1, 2]
    assert loaded[3] == 2


def test_python2_pickle(tmp_path):
    """A protocol 2 pickle, its array's bytes kept in a str of Python 2."""
    with open(tmp_path / 'a.npy', 'wb') as file:
        np.lib.format.write_array_header_1_0(
            file, dict(descr='|O', fortran_order=False, shape=(1, )))
        file.write(
            b'\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n'
            b'K\x00\x85U\x01b\x87R(K\x01K\x01\x85cnumpy\ndtype\nU\x02O8K\x00'
            b'K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?'
            b'tb\x89]U\x03caf\x61tb.')
    assert load_object_array(tmp_path / 'a.npy').tolist() == [b'caf']


def test_plain_arrays(tmp_path):
    np.save(tmp_path / 'a.npy', np.array([b'x', b'yz']))
    assert load_object_array(tmp_path / 'a.npy').tolist() == [b'x', b'yz']


def test_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    array = np.array([Malicious()], dtype=object)
    np.save('a.npy', array, allow_pickle=True)
    with pytest.raises(ValueError, match=r'a\.npy.*mkdir'):
        load_object_array('a.npy')
    assert not os.path.exists('ran')


def write_pickle(path, value, shape=(1, )):
    """An object array's header, then a pickle of anything."""
    with open(path, 'wb') as file:
        np.lib.format.write_array_header_1_0(
            file, dict(descr='|O', fortran_order=False, shape=shape))
        pickle.dump(value, file, 2)


class Call:
    """Pickles as the call of a function."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], tuple(self.call[1:])


RAW = (8).to_bytes(8, 'little') * 4


@pytest.mark.parametrize(
    'value',
    [
        # pointers to nowhere as an object array, an object scalar
        Call(np.ndarray, (4, ), np.dtype('O'), RAW),
        Call(np.ndarray, (4, ), 'O', RAW),
        Call(np.float64(0).__reduce__()[0], np.dtype('O'), RAW[:8]),
        Call(np.dtype, 'O'),
        Call(np.dtype, 'f4,O'),
        Call(np.dtype, [('a', 'O')]),
        np.zeros(3, [('a', 'f4')])
    ])
def test_object_arrays_over_raw_bytes(tmp_path, value):
    """In a process of its own: with numpy's own classes it would crash."""
    path = tmp_path / 'a.npy'
    array = np.empty(1, object)
    array[0] = value
    write_pickle(path, array)
    code = ('import sys\n'
            'from mmaction_actiondiff.safe_npy import load_object_array\n'
            'try:\n    print(load_object_array(sys.argv[1])[0])\n'
            'except ValueError as error:\n    print("refused:", error)')
    done = subprocess.run(
        [sys.executable, '-c', code, str(path)],
        capture_output=True,
        text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f'refused: {path}: ')


def test_state_over_raw_bytes(tmp_path):
    """An array's own state: object type, bytes instead of a list."""
    array = np.empty(1, object)
    reconstruct, args, (version, _, dtype, order, _) = array.__reduce__()

    class Forged:

        def __reduce__(self):
            return reconstruct, args, (version, (4, ), dtype, order, RAW)

    write_pickle(tmp_path / 'a.npy', Forged())
    with pytest.raises(ValueError, match='a.npy.*other values than its shape'):
        load_object_array(tmp_path / 'a.npy')


@pytest.mark.parametrize('value', ['x', [1], None])
def test_no_array(tmp_path, value):
    write_pickle(tmp_path / 'a.npy', value)
    with pytest.raises(ValueError, match='a.npy: expected an object array'):
        load_object_array(tmp_path / 'a.npy')


@pytest.mark.parametrize('size', [4, 100, 150])
def test_truncated(tmp_path, size):
    np.save(tmp_path / 'a.npy', np.array([['x'] * 9, None], dtype=object))
    content = (tmp_path / 'a.npy').read_bytes()
    (tmp_path / 'a.npy').write_bytes(content[:size])
    with pytest.raises(ValueError, match=r'a\.npy: (expected|the pickle)'):
        load_object_array(tmp_path / 'a.npy')


def test_header_disagrees(tmp_path):
    np.save(tmp_path / 'a.npy', np.array(['x', None], dtype=object))
    content = (tmp_path / 'a.npy').read_bytes()
    (tmp_path / 'a.npy').write_bytes(content.replace(b'(2,)', b'(3,)'))
    with pytest.raises(ValueError, match=r'shape \(3,\)'):
        load_object_array(tmp_path / 'a.npy')


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_object_array(tmp_path / 'a.npy')


def test_real_bundles(shared_data):
    segments = load_object_array(
        shared_data / 'thumos14/Thumos14reduced-Annotations/segments.npy')
    assert segments.shape == (412, ) and sum(map(len, segments)) == 6365
