"""Loading of pickled ``.npy`` files without running what they contain."""
from __future__ import annotations

import codecs
import os
import pickle
from typing import Any, Dict, Tuple, Union

import numpy as np

# What numpy itself names when it pickles arrays and scalars; lists, strings
# and numbers need no name. `_reconstruct` and `scalar` are private functions
# whose module numpy 2 renamed: their own pickles lead to them.
_ALLOWED: Dict[Tuple[str, str], Any] = {
    ('numpy', 'ndarray'): np.ndarray,
    ('numpy', 'dtype'): np.dtype,
    ('_codecs', 'encode'): codecs.encode,
}
for _core in ('numpy.core.multiarray', 'numpy._core.multiarray'):
    _ALLOWED[_core, '_reconstruct'] = np.empty(0).__reduce__()[0]
    _ALLOWED[_core, 'scalar'] = np.float64().__reduce__()[0]


class _ArrayUnpickler(pickle.Unpickler):

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f'it asks for {module}.{name}, which is neither an array nor '
                'a scalar of numpy') from None


def load_object_array(path: Union[str, os.PathLike]) -> np.ndarray:
    """Load an ``.npy`` file that may hold pickled Python objects.

    ``numpy.load(path, allow_pickle=True)`` runs any code that the file asks
    for. Here nothing is allowed in it but numpy arrays, numpy scalars and
    plain Python values (str, bytes, numbers, None, list, tuple, dict, set).
    Files written by Python 2 are read too; their strings become str.

    Args:
        path (str | PathLike): The file.

    Returns:
        np.ndarray: The array, of dtype object if it was pickled.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not a complete ``.npy`` file or holds
            anything else than the above.
    """
    try:
        with open(path, 'rb') as file:
            version = np.lib.format.read_magic(file)
            if version == (1, 0):
                header = np.lib.format.read_array_header_1_0(file)
            else:
                header = np.lib.format.read_array_header_2_0(file)
            if not header[2].hasobject:
                file.seek(0)
                return np.lib.format.read_array(file, allow_pickle=False)
            array = _ArrayUnpickler(file, encoding='latin1').load()
    except FileNotFoundError:
        raise
    # a damaged pickle may raise nearly anything
    except Exception as error:
        raise ValueError(
            f'{os.fspath(path)}: expected an .npy file of arrays, numbers, '
            f'strings and lists, but {error}') from error
    if not isinstance(array, np.ndarray) or array.shape != header[0]:
        raise ValueError(
            f'{os.fspath(path)}: the header announces an array of shape '
            f'{header[0]}, the file holds a {type(array).__name__}')
    return array
