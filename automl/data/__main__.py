"""`python -m automl.data inspect PATH --filename NAME [--has-header true|false]`: the process in which uploads are read.
`python -m automl.data convert PATH OUT.tfrecord[.gz]` writes a table or pictures as TFRecord, and prints `{"examples": N}`.

Prints one JSON document on standard output: a `DatasetInfo` and exit 0, or `{"violations": […]}` and exit 2 for data that
can't be used. Anything else is a defect: a traceback on standard error and exit 1.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from collections.abc import Callable
from typing import Any

from automl.data import conversion, inspection
from automl.data.source import Source
from automl.spec.errors import InvalidInput


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m automl.data", description="Inspects or converts a data set.")
    commands = parser.add_subparsers(dest="command", required=True)
    inspect = commands.add_parser("inspect", help="print what a data set holds as JSON")
    inspect.add_argument("path", type=pathlib.Path)
    inspect.add_argument("--filename", default="", help="what its owner calls it")
    inspect.add_argument("--has-header", choices=("true", "false"), help="whether a table's first line names its columns")
    convert = commands.add_parser("convert", help="write a table or pictures as TFRecord of tf.train.Example")
    convert.add_argument("path", type=pathlib.Path)
    convert.add_argument("out", type=pathlib.Path, help="the file; gzipped where it ends in .gz")
    given = parser.parse_args(arguments)
    if given.command == "convert":
        return _said(lambda: {"examples": conversion.convert(Source(given.path), given.out)})
    header = None if given.has_header is None else given.has_header == "true"
    source = Source(given.path, given.filename, has_header=header)
    return _said(lambda: inspection.inspect(source).to_dict())


def _said(work: Callable[[], dict[str, Any]]) -> int:
    """Prints what comes out, or what is wrong with the data; the exit code."""
    try:
        found = work()
    except InvalidInput as fault:
        print(json.dumps({"violations": [v.to_dict() for v in fault.violations]}, ensure_ascii=False))
        return fault.exit_code
    print(json.dumps(found, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
