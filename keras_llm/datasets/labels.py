"""The label that stands where nothing is asked."""

IGNORED_LABEL = -100  # no loss and no metric counts it; the value Hugging Face and PyTorch use
