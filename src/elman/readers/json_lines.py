"""JSON lines: an object in each line, with a sequence in lists or a text, or the cells of a table."""

from __future__ import annotations

import json
from typing import Any

from elman.errors import DataError, say
from elman.readers.roles import Table
from elman.readers.words import listed
from elman.training.progress import Verbose, watch

__all__ = ["read_json_lines"]


def read_json_lines(path: str, lines: list[str], *, verbose: Verbose = 0) -> Table:
    """Read an object from each line; all have the same keys.

    Args:
        path: of the file, for messages.
        lines: of the file; empty ones are passed over.
        verbose: 0 silent; else what takes long shows how far it is.

    Raises:
        DataError: naming the line that holds no such object.
    """
    found: list[dict[str, Any]] = []
    numbers: list[int] = []
    for number, line in enumerate(watch(lines, total=len(lines), what=f"reading {path}", verbose=verbose), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number:,}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            cure = 'Write one object in each line, such as {"x": [[0.5], [1.5]], "label": "up"}'
            if number == 1 and line.lstrip().startswith("["):
                cure = "One list of objects is JSON, not JSON lines: write them with jq -c '.[]'"
            reason = getattr(error, "msg", "too deep")
            place = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            raise DataError(say(where, f"this is no JSON ({reason}{place})", cure=cure)) from None
        if not isinstance(record, dict):
            expected = 'an object, such as {"x": [[0.5], [1.5]], "label": "up"}'
            raise DataError(say(where, "this is no object", expected=expected, got=type(record).__name__))
        if found and record.keys() != found[0].keys():
            missing, more = found[0].keys() - record.keys(), record.keys() - found[0].keys()
            got = f"without {listed(sorted(missing))}" if missing else f"with {listed(sorted(more))} besides"
            expected = f"those of the first: {listed(found[0])}"
            raise DataError(say(where, "the object has other keys", expected=expected, got=got))
        found.append(record)
        numbers.append(number)
    names = list(found[0])
    return Table(path, "JSON lines", names, {name: [record[name] for record in found] for name in names}, numbers)
