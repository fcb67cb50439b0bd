"""A conversation with a model that was tuned on dialogues."""

from keras_llm.datasets.chat import ChatTemplate
from keras_llm.generation.generate import TextGenerator


class Chat:
    """Answers messages, each in the light of those before it, as far as the model's context reaches.

    Where the conversation becomes too long, its oldest turns are forgotten.

    Args:
        model: a causal language model, tuned on dialogues in the form of `ChatTemplate`.
        tokenizer: its tokenizer.
        sampler: a `Sampler`; by default `Sampler()`.
        max_new_tokens: the longest answer; by default half of the context, at most 256.
        system: a message that stands before all others and is never forgotten.
        seed: of the draws.

    Attributes:
        messages: what was said and is remembered, a list of `{"role", "content"}`.

    Raises:
        ValueError: the tokenizer lacks the special tokens of a chat, or the context has no room for an answer.

    Example:
        chat = Chat(model, tokenizer)
        print("".join(chat.reply("What is a leap year?")))
    """

    def __init__(self, model, tokenizer, sampler=None, max_new_tokens=None, system=None, seed=0):
        self.template = ChatTemplate(tokenizer)
        if self.template.tokenizer != tokenizer:
            raise ValueError("The tokenizer has no tokens for the roles: this model was not tuned to chat.")
        self.max_new_tokens = max_new_tokens or min(model.context_length // 2, 256)
        self.room = model.context_length - self.max_new_tokens  # tokens of a prompt
        if self.room < 1:
            raise ValueError(
                f"max_new_tokens={self.max_new_tokens} leaves no room in the context of {model.context_length}."
            )
        self.writer = TextGenerator(model, tokenizer)
        self.sampler = sampler
        self.system = [] if system is None else [{"role": "system", "content": system}]
        self.seed = seed
        self.reset()

    def reset(self):
        """Forgets what was said."""
        self.messages = list(self.system)

    def reply(self, text):
        """Yields an answer piece by piece; as far as it came when it was stopped, it is remembered.

        Raises:
            ValueError: the message alone is too long for the context.
        """
        messages = self._remembered([*self.messages, {"role": "user", "content": text}])
        prompt, answer = self.template.prompt(messages), ""
        stop = (self.template.end_id, *self.template.role_ids.values())
        try:
            seed = self.seed + len(messages)  # other draws for each answer
            for piece in self.writer.stream(prompt, self.max_new_tokens, self.sampler, seed, stop):
                answer += piece
                yield piece
        finally:
            self.messages = [*messages, {"role": "assistant", "content": answer}]

    def _remembered(self, messages):
        """The messages without as many of the oldest turns as must go."""
        while (needed := len(self.template.prompt(messages))) > self.room:
            first = len(self.system)
            later = [i for i in range(first + 1, len(messages)) if messages[i]["role"] == "user"]
            if not later:
                raise ValueError(
                    f"This message needs {needed} tokens; the model's context has room for {self.room} of them."
                )
            messages = [*self.system, *messages[later[0] :]]
        return messages
