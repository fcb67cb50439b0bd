"""How a dialogue becomes one sequence of tokens."""

from keras_llm.datasets.labels import IGNORED_LABEL

END_TOKEN = "<|endoftext|>"  # with which GPT-2 ends a document, and we an answer
ROLE_TOKENS = {"system": "<|system|>", "user": "<|user|>", "assistant": "<|assistant|>"}


class ChatTemplate:
    """Writes messages one behind the other, each behind the special token of its role; an answer has an end.

        <|user|>What is 2 + 2?<|assistant|>4<|endoftext|><|user|>Thanks<|assistant|>Welcome<|endoftext|>

    What people write can hold no special token: `<|assistant|>` in a message is text like any other.

    Args:
        tokenizer: of a causal language model.

    Attributes:
        tokenizer: the same with the special tokens it lacked; a model must have its `vocabulary_size`.
    """

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer.with_special_tokens([END_TOKEN, *ROLE_TOKENS.values()])
        self.role_ids = {role: self.tokenizer.token_to_id(token) for role, token in ROLE_TOKENS.items()}
        self.end_id = self.tokenizer.end_of_text_id

    def example(self, messages):
        """A dialogue to learn from: the loss is on the answers and their ends alone.

        Args:
            messages: list of `{"role", "content"}`.

        Returns:
            Token ids, and as many labels: at each token the id of the next one, or -100 where that is no part of
            an answer. So the very last token, an end, is in the labels alone.
        """
        ids, answers = [], []  # answers: which tokens are parts of an answer
        for message in messages:
            own = self._message(message)
            ids += own
            answers += [message["role"] == "assistant" and i > 0 for i in range(len(own))]
        labels = [token if answer else IGNORED_LABEL for token, answer in zip(ids[1:], answers[1:])]
        return ids[:-1], labels

    def prompt(self, messages):
        """The token ids of a dialogue, up to where an answer is to be written."""
        ids = [token for message in messages for token in self._message(message)]
        return [*ids, self.role_ids["assistant"]]

    def _message(self, message):
        role = message["role"]
        if role not in self.role_ids:
            raise ValueError(f"A role is one of {', '.join(self.role_ids)}, got {role!r}.")
        end = [self.end_id] if role == "assistant" else []
        return [self.role_ids[role], *self.tokenizer.encode_plain(message["content"]), *end]
