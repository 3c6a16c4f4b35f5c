r"""Files as sequences with answers: one door for every format, which says what it took for what.

Example:
    >>> import pathlib, tempfile
    >>> from elman.readers import read
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "days.csv")
    ...     _ = path.write_text("id,time,wind,label\n1,0,3.5,calm\n1,1,4.0,calm\n2,0,9.5,storm\n")
    ...     data = read(path, "classify")
    >>> [x.tolist() for x in data.X], data.y.tolist()
    ([[[3.5], [4.0]], [[9.5]]], ['calm', 'storm'])
"""

from elman.readers.dataset import Columns, Dataset
from elman.readers.door import FORMATS, read

__all__ = ["FORMATS", "Columns", "Dataset", "read"]
