"""Lies about the number: in the log, in the harness, on the channel, in the model's bytes.

Each candidate trains far less than the incumbent: whoever believes a lie keeps it. The server
computes the number itself, so that most lies are neither believed nor needed for anything: the
candidate is measured as the bad one that it is, and what was printed is noted beside it.
"""

import pytest

from .arena import Arena, Strike
from .cases import Seen
from .variants import FEW, Replacements, brief

pytestmark = pytest.mark.anyio

EVALUATE = "val_bpb = evaluate_bpb(model, tokenizer, rows)\n"
REPORT = 'print(f"val_bpb: {val_bpb:.6f}")\n'
IMPORTS = "import os, sys\nimport prepare\n"
LIE = "val_bpb: 0.100000"


def says(line: str) -> Replacements:
    """Print another line than the number's."""
    return ((REPORT, f"print({line!r})\n"),)


def before(code: str) -> Replacements:
    """Act before the evaluation."""
    return ((EVALUATE, IMPORTS + code + EVALUATE),)


def instead(code: str) -> Replacements:
    """Act instead of the evaluation."""
    return ((EVALUATE, IMPORTS + code),)


LIES_IN_THE_LOG = {
    "01-fake-line-before": before(f"print({LIE!r})\n"),
    "02-fake-line-after": ((REPORT, REPORT + f"print({LIE!r})\n"),),
    "04-atexit-line": before(f"import atexit\natexit.register(print, {LIE!r})\n"),
    "05-carriage-return-line": before(f"print('\\rstep 1\\r{LIE}\\r', end='')\n"),
    "06-arabic-digits": says("val_bpb: \u0660.\u0661\u0660\u0660\u0660\u0660\u0660"),
    "07-nan": says("val_bpb: nan"),
    "08-minus-inf": says("val_bpb: -inf"),
    "09-negative": says("val_bpb: -1.000000"),
    "10-1e-9": says("val_bpb: 0.000000001"),
    "11-line-on-stderr": ((REPORT, f"sys.stderr.write({LIE + chr(10)!r})\n"),),
    "12-stdout-dup-fd-write": before(f"os.write(os.dup(1), b'\\n{LIE}\\n')\n"),
}
LIES_TO_THE_HARNESS = {
    "13-zero-loss-on-targets": instead("""\
class Zero(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner
    def __call__(self, tokens, targets=None, reduction="mean"):
        return self.inner(tokens) if targets is None else mx.zeros(tokens.shape)
val_bpb = evaluate_bpb(Zero(model), tokenizer, rows)
"""),
    "14-scaled-loss": before("""\
honest = prepare.token_nats
prepare.token_nats = lambda *arguments: 0.01 * honest(*arguments)
"""),
    "16-patch-EVAL_TOKENS": before("prepare.EVAL_TOKENS = 64\n"),
    "17-patch-token_bytes-loader": before("""\
lengths = prepare.get_token_bytes()
prepare.get_token_bytes = lambda: 100 * lengths
"""),
    "18-custom-tokenizer": instead("""\
class Mine:
    def get_vocab_size(self): return 1
    def get_bos_token_id(self): return 0
    def encode(self, *arguments, **named): return [0]
    def decode(self, ids): return "a" * 1000
val_bpb = evaluate_bpb(model, Mine(), rows)
"""),
    "19-batch_size=500": instead("val_bpb = evaluate_bpb(model, tokenizer, 500)\n"),
    "20-batch_size=769": instead("val_bpb = evaluate_bpb(model, tokenizer, 769)\n"),
}
UNREAD = {"05-carriage-return-line"}
"""Lies that whoever reads the log takes for part of a progress line."""

NO_MODEL = {
    "03-print-then-_exit": instead(f"print({LIE!r}, flush=True)\nos._exit(0)\n"),
    "15-patch-evaluate_bpb": instead("prepare.evaluate_bpb = lambda *_: 0.3\nval_bpb = 0.3\n"),
    "23-channel-truncated": instead("""\
os.write(prepare.SUPERVISOR, b"handover\\nmodel\\n" + (1000).to_bytes(4, "big") + b"half")
val_bpb = 0.01
"""),
    "24-channel-4GiB-length": instead("""\
os.write(prepare.SUPERVISOR, b"handover\\nmodel\\n" + (2**32 - 2).to_bytes(4, "big"))
os.write(prepare.SUPERVISOR, bytes(4096))
val_bpb = 0.01
"""),
}
BYTES_THAT_ARE_NO_MODEL = {
    "22-forged-channel-bytes": instead("""\
os.write(prepare.SUPERVISOR, b'handover\\n{"value": 0.01}\\nmodel\\n')
os.write(prepare.SUPERVISOR, (9).to_bytes(4, "big") + b"val = 0.1" + bytes(4))
print(os.read(prepare.SUPERVISOR, 4096))
val_bpb = 0.01
"""),
    "25-pickle-bomb": instead("""\
class Bomb:
    def __reduce__(self):
        return bytearray, (1 << 44,)
val_bpb = evaluate_bpb(Bomb(), tokenizer, rows)
"""),
}


@pytest.mark.parametrize("case", [*LIES_IN_THE_LOG, *LIES_TO_THE_HARNESS])
async def test_the_server_computes_the_number_whatever_is_said(fort: Arena, case: str) -> None:
    lies = {**LIES_IN_THE_LOG, **LIES_TO_THE_HARNESS}
    strike = await fort.strike_with(brief(FEW, lies[case]))

    Seen().check(strike)
    assert honest(strike)
    assert contradicts(strike) == (case in LIES_IN_THE_LOG and case not in UNREAD)


@pytest.mark.parametrize("case", NO_MODEL)
async def test_without_a_model_there_is_no_number(fort: Arena, case: str) -> None:
    strike = await fort.strike_with(brief(FEW, NO_MODEL[case]))

    # A run that ends at once may be gone before the server has seen what is wrong with its bytes.
    Seen(outcome="no_metric" if strike.outcome == "no_metric" else "crash").check(strike)
    assert strike.trial["outcome"]["value"] is None


@pytest.mark.parametrize("case", BYTES_THAT_ARE_NO_MODEL)
async def test_bytes_that_are_no_model_end_in_a_crash(fort: Arena, case: str) -> None:
    strike = await fort.strike_with(brief(FEW, BYTES_THAT_ARE_NO_MODEL[case]))

    Seen(outcome="crash").check(strike)
    assert strike.trial["outcome"]["value"] is None


async def test_21_evaluate_100x_pick_best(fort: Arena) -> None:
    """The first model counts; all later ones get its number, however good they are."""
    many = """\
found = []
for _ in range(100):
    found.append(evaluate_bpb(model, tokenizer, rows))
    model.lm_head.weight = model.lm_head.weight * 1.01
    mx.eval(model.parameters())
print(f"\\nattempt many: {len(set(found))} of {len(found)} differ")
val_bpb = min(found)
"""
    strike = await fort.strike_with(brief(FEW, instead(many)))

    Seen(says={"many": "1 of 100 differ"}).check(strike)
    assert honest(strike)
    assert not contradicts(strike)


async def test_26_pickle_os_system(fort: Arena) -> None:
    """What a model's bytes do when they are loaded, they do in the prover's sandbox alone."""
    outside = fort.folder / "outside" / "owned"
    hostile = f"""\
class Hostile:
    def __reduce__(self):
        return eval, ("__import__('os').system('touch {outside}') or open({str(outside)!r}, 'w')",)
val_bpb = evaluate_bpb(Hostile(), tokenizer, rows)
"""
    strike = await fort.strike_with(brief(FEW, instead(hostile)))

    Seen(outcome="crash").check(strike)
    assert not outside.exists()


def honest(strike: Strike) -> bool:
    """Tell whether a value is what so little training comes to, and no lie."""
    value, incumbent = strike.trial["outcome"]["value"], strike.trial["incumbent"]["value"]
    return value is not None and value > incumbent


def contradicts(strike: Strike) -> bool:
    """Tell whether it is noted that the log says another number than the server."""
    return any(note.startswith("metric_mismatch") for note in strike.trial["outcome"]["notes"])
