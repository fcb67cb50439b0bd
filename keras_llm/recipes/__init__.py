"""Jobs from start to end: data, tokenizer, model, training, evaluation. Each function is also a command."""
