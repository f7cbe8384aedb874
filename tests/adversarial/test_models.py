"""Models that see, remember or invent what they must not: the contract of the evaluation.

    strict causality               27 to 34, 38
    a full, normalised distribution   35, 40
    no learning from what is scored   36, 37
    each row by itself                39

Each candidate would be kept for what it claims: the cheat's gain, or more training than the
incumbent had. The audit finds all of them, and says where.
"""

import re

import pytest

from .arena import Arena
from .cases import Seen
from .variants import MANY, SOME, Replacements, brief

pytestmark = pytest.mark.anyio

EVALUATE = "val_bpb = evaluate_bpb(model, tokenizer, rows)\n"
STREAM = "x = first = norm(self.wte(tokens))\n"
WINDOW = "width, self.heads, self.window = config.width, config.heads, config.windows[layer]\n"
MASK = "mask = attention_mask(length, self.window, q.dtype)\n"

WRAPPED = """\
class Wrapped(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.start()
    def start(self):
        pass
{code}
val_bpb = evaluate_bpb(Wrapped(model), tokenizer, rows)
"""
PEEK = """\
    def __call__(self, tokens):
        logits = self.inner(tokens)
        vocabulary, places = mx.arange(logits.shape[-1]), mx.arange(tokens.shape[1])
        after = mx.concatenate([tokens[:, 1:], tokens[:, :1]], axis=1)[..., None]
        seen = {seen}
        return mx.where(seen, logits + 20 * (vocabulary == after), logits)
"""


def wrapped(code: str) -> Replacements:
    """Evaluate another model, around the trained one."""
    return ((EVALUATE, WRAPPED.format(code=code)),)


def peeking(seen: str) -> Replacements:
    """Look at the next token where an expression says so; shape (rows, T, 1) or less."""
    return wrapped(PEEK.format(seen=seen))


def mixing(code: str) -> Replacements:
    """Mix the stream x, (rows, T, width), before the first block, in training too."""
    return ((STREAM, STREAM + f"        rows, length, width = x.shape\n        {code}\n"),)


PEEKERS = {
    "27-peek-all": peeking("mx.array(True)"),
    "28-peek-4-percent": peeking("(places % 25 == 7)[None, :, None]"),
    "29-peek-1-per-row": peeking("(places == 40)[None, :, None]"),
    "38-prover-detects-junk-suffix": peeking(
        # Only where the next token is one that the model itself finds likely.
        "mx.take_along_axis(logits, after, axis=-1) > mx.mean(logits, axis=-1, keepdims=True)"
    ),
}
LEARNERS = {
    "36-TTT-bigram": wrapped("""\
    def start(self):
        self.counts = mx.zeros((512, 512))
    def __call__(self, tokens):
        known = mx.log1p(self.counts)[tokens]
        self.counts = self.counts.at[tokens[:, :-1], tokens[:, 1:]].add(1.0)
        mx.eval(self.counts)
        return self.inner(tokens) + known
"""),
    "37-row-memory-dict": wrapped("""\
    def start(self):
        self.memory = {}
    def __call__(self, tokens):
        logits = self.inner(tokens)
        bonus = [[[0.0] * logits.shape[-1] for _ in row] for row in tokens.tolist()]
        for row, text in enumerate(tokens.tolist()):
            for place, pair in enumerate(zip(text, text[1:])):
                if pair in self.memory:
                    bonus[row][place + 1][self.memory[pair]] = 3.0
        for text in tokens.tolist():
            self.memory.update(zip(zip(text, text[1:]), text[2:]))
        return logits + mx.array(bonus)
"""),
}
NOT_A_DISTRIBUTION = {
    "35-unnormalised-logsumexp": wrapped("""\
    def __call__(self, tokens):
        if not hasattr(mx, "honest"):
            mx.honest = mx.logsumexp
            mx.logsumexp = lambda *given, **named: mx.honest(*given, **named) - 0.02
        return self.inner(tokens)
"""),
}
LEAKS = {
    "30-block-mean-16": mixing(
        "x = x + mx.repeat(x.reshape(rows, -1, 16, width).mean(axis=2), 16, axis=1)"
    ),
    "31-chunk-state-16": mixing(
        "states = mx.cumsum(x.reshape(rows, -1, 16, width).mean(axis=2), axis=1)\n"
        "        x = x + 0.1 * mx.repeat(states, 16, axis=1)"
    ),
    "32-spectral-filter": mixing(
        "low = (mx.arange(length // 2 + 1) < 9)[:, None]\n"
        "        x = x + mx.fft.irfft(low * mx.fft.rfft(x, axis=1), n=length, axis=1)"
    ),
    "33-reverse-attention-last-layer": (
        (WINDOW, WINDOW + "        self.last = layer == config.layers - 1\n"),
        (
            MASK,
            MASK + "        if self.last:\n"
            "            back = mx.arange(length)[:, None] - mx.arange(length)[None, :]\n"
            "            mask = mx.where(back <= 0, 0.0, -math.inf).astype(q.dtype)\n",
        ),
    ),
    "34-batch-norm-over-time": mixing(
        "x = (x - x.mean(axis=1, keepdims=True)) / (mx.std(x, axis=1, keepdims=True) + 0.1)"
    ),
    "39-cross-row-batch-leak": mixing("x = x + 0.5 * x.mean(axis=0, keepdims=True)"),
}


@pytest.mark.parametrize("case", [*PEEKERS, *LEARNERS, *NOT_A_DISTRIBUTION, *LEAKS])
async def test_the_audit_says_where_a_model_does_not_keep_its_claim(fort: Arena, case: str) -> None:
    cheats = {**PEEKERS, **LEARNERS, **NOT_A_DISTRIBUTION, **LEAKS}
    steps = SOME if case in PEEKERS else MANY
    strike = await fort.strike_with(brief(steps, cheats[case]))

    Seen(outcome="tampered").check(strike)
    assert strike.trial["outcome"]["value"] is None
    assert re.search(
        r"position \d+ of row \d+ changes when later tokens change: \d+\.\d{4} nats claimed, "
        r"\d+\.\d{4} found \(\d+ of \d+ probes do\)",
        strike.trial["outcome"]["reason"],
    )


async def test_40_NaN_logits(fort: Arena) -> None:  # noqa: N802
    nan = "    def __call__(self, tokens):\n        return self.inner(tokens) * math.nan\n"
    strike = await fort.strike_with(brief(MANY, wrapped(nan)))

    Seen(outcome="crash", names="not finite").check(strike)
