"""Local data from where people keep them: `open_source("photos/")` gives what a `DeviceClient` asks for examples.

    a folder or a .zip of class folders     images, decoded by Pillow; a `train` folder inside is used if there is one
    a .npz file                             arrays by the names of the model's inputs, and `y`
    a .csv file                             tabular models: the manifest's columns, and `label`
    a folder of IDX files                   MNIST, Fashion-MNIST
    a folder of CIFAR batches               CIFAR-10 and CIFAR-100, the "python version"
    package.module:function                 called with the manifest; gives `Examples`

A source is asked anew for each assignment, so new files are picked up. Nothing is ever written to where data are.

    >>> open_source("no/such/folder")
    Traceback (most recent call last):
    ...
    fedrela.core.errors.InvalidData: there is no no/such/folder; ...
"""

import re
from collections.abc import Callable
from pathlib import Path

from fedrela.core import references
from fedrela.core.bundle import Manifest
from fedrela.core.environment import user_folders
from fedrela.core.errors import InvalidData, InvalidInput
from fedrela.edge.training.examples import DataSource, Examples

FORMATS = "a folder or .zip of class folders, a .npz or .csv file, IDX files, CIFAR batches, or package.module:function"


def open_source(spec: str) -> DataSource:
    """The source that `spec` names. Raises InvalidData where there is nothing of a known format."""
    from fedrela.edge.sources import arrays, cifar, idx, images  # Pillow is wanted only where there are data

    if not spec.strip():  # which is the working folder, as a path
        raise InvalidData("no data are named", remedy=f"name {FORMATS}")
    path = user_folders.expanded(spec)
    if not path.exists():
        if re.fullmatch(r".+:[A-Za-z_]\w*", spec):
            return _function(spec)
        raise InvalidData(f"there is no {spec}", remedy=f"name {FORMATS}")
    if path.is_file():
        by_suffix: dict[str, Callable[[Path], DataSource]] = {
            ".npz": arrays.npz,
            ".csv": arrays.csv_table,
            ".zip": images.zip_file,
        }
        if path.suffix.lower() in by_suffix:
            return by_suffix[path.suffix.lower()](path)
        raise InvalidData(f"{path} is of no known format", remedy=f"name {FORMATS}")
    if idx.find(path) is not None:
        return idx.source(path)
    if cifar.find(path):
        return cifar.source(path)
    return images.folder(path)


def _function(spec: str) -> DataSource:
    try:
        function = references.load(spec)
    except InvalidInput as error:
        raise InvalidData(f"{spec} can't be imported ({error.problem})", remedy=error.remedy) from error

    def load(manifest: Manifest) -> Examples:
        examples = function(manifest)
        if not isinstance(examples, Examples):
            raise InvalidData(
                f"{spec} gave {type(examples).__name__}",
                remedy="return fedrela.edge.training.examples.Examples(x={...}, y=labels)",
            )
        return examples

    return load
