"""Loading pickled npy files without running them."""
import os

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
    assert load_object_array(tmp_path / 'a.npy').tolist() == ['caf']


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


@pytest.mark.parametrize('size', [4, 100, 150])
def test_truncated(tmp_path, size):
    np.save(tmp_path / 'a.npy', np.array([['x'] * 9, None], dtype=object))
    content = (tmp_path / 'a.npy').read_bytes()
    (tmp_path / 'a.npy').write_bytes(content[:size])
    with pytest.raises(ValueError, match=r'a\.npy: expected'):
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
