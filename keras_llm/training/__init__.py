"""Losses, optimizer, callbacks and results of training with `model.fit`."""
