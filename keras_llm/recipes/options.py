"""The options that several commands share, with their help."""

from typing import Annotated

from typer import Option

Data = Annotated[str, Option("--data", "-d", help="A file, or a name from `keras-llm datasets`.")]
Validation = Annotated[str | None, Option(help="The same for validation; by default a part of --data.")]
Test = Annotated[
    str | None,
    Option(help="For the last figure: a file, or `test` for that part of --data. Left alone if not given."),
]
TextColumn = Annotated[str | None, Option(help="Name or position of the text, if it is not `text`.")]
PairColumn = Annotated[
    str | None, Option(help="Name or position of the second text of a pair, if it is not `text_pair`.")
]
DocumentColumn = Annotated[
    str | None, Option(help="Name or position of the texts to sum up, if it is not `document`.")
]
SummaryColumn = Annotated[
    str | None, Option(help="Name or position of the summaries, if it is not `summary`.")
]
LabelColumn = Annotated[str | None, Option(help="Name or position of the label, if it is not `label`.")]
DataDir = Annotated[str | None, Option(help="Where TensorFlow Datasets keeps its prepared sets.")]
Seed = Annotated[int, Option(help="Of weights, dropout and the order of the data.")]
Strategy = Annotated[
    str,
    Option(
        help="Devices to train on: one, mirrored (all GPUs), multi-worker, tpu, or auto for what there is; with JAX "
        "data-parallel or model-parallel."
    ),
]
SaveEvery = Annotated[
    int,
    Option(help="Steps between two states on disk: a run that is cut goes on there with the same command."),
]
Accumulate = Annotated[
    int,
    Option(
        help="Work through each batch in so many parts, to save memory: the same step, but for dropout and rounding."
    ),
]
Precision = Annotated[
    str,
    Option(
        help="float32; or mixed_bfloat16 (newer GPUs, TPUs) or mixed_float16 (any GPU): products and activations in "
        "half as many bytes, weights in float32."
    ),
]
Rematerialize = Annotated[
    bool,
    Option(help="Keep only what goes into each block, and compute its inside twice: less memory, more time."),
]
Output = Annotated[str | None, Option(help="Folder of the run; by default the next free one under runs/.")]
Result = Annotated[
    str | None, Option(help="Also write the figures, with all that led to them, to this JSON file.")
]
