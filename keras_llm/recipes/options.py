"""The options that several commands share, with their help."""

from typing import Annotated

from typer import Option

DataDir = Annotated[str | None, Option(help="Where TensorFlow Datasets keeps its prepared sets.")]
Seed = Annotated[int, Option(help="Of weights, dropout and the order of the data.")]
Output = Annotated[str | None, Option(help="Folder of the run; by default the next free one under runs/.")]
Result = Annotated[
    str | None, Option(help="Also write the figures, with all that led to them, to this JSON file.")
]
