"""What a model says to each row of a data set."""


def predict(model, batches):
    """Runs a model over rows that stand in batches of like length.

    Args:
        model: a Keras model whose output has one entry a row.
        batches: unshuffled `PaddedBatches`, with or without labels.

    Returns:
        A list of NumPy arrays, the output of each row in the order of the rows, with padding as it came.
    """
    outputs = [None] * batches.num_rows
    for i in range(batches.num_batches):
        batch = batches[i]
        inputs = batch[0] if isinstance(batch, tuple) else batch
        for row, output in zip(batches.rows_of(i)[1], model.predict_on_batch(inputs)):
            outputs[row] = output
    return outputs
