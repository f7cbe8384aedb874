"""The server's own evaluation: how a model leaves its run, and how it is questioned elsewhere.

    lent/autoresearch_handover.py   in the run: sends the model, waits for the answer
    lent/autoresearch_prover.py     in a fresh sandbox: loads the model, answers for it
    lending.py                      copies these two, and cloudpickle, to where they are needed
    dialogue.py                     the server's end of the talk with a prover

A run's harness sends the model over the run's channel (`supervisor/channel.py`) and waits. The
server keeps the bytes, never loads them, and starts a prover: a process in a fresh sandbox that
has no data, no network and no trace of the run, and that loads the model as `pickle` does.
Whatever hostile code the model brings runs there. What is lent runs in the recipe's interpreter,
whose environment needs nothing for it.

Hand-over, on the run's channel, after the events `launched` and `batch`. What is not bytes is a
line of text that ends in a newline:

    run     handover            evaluation begins
    run     model               then frames: a length (4 bytes, big-endian, at most 1 MiB) and so
                                many bytes; length 0 ends the model, and with it the training
                                clock; 0xffffffff takes it back: the reason follows
    run     unfit TEXT          this model cannot be sent
    server  {"value": 1.25}     the metric, or {"problem": "TEXT"}

The first model counts; a run can send no second one.

Prover, on a socket of its own that it inherits. Numbers are little-endian, arrays row by row.
The prover speaks first; then the server asks and the prover answers, until the server hangs up:

    prover  launched            from the launcher: the sandbox holds, no code of the model ran yet
    prover  ready               the model is loaded
    server  {"do": "losses", "rows": R, "length": T + 1}        and R x (T + 1) uint16: tokens
    prover  ok                  and R x T float32: nats of token i + 1, given tokens 0 to i
    server  {"do": "logits", "rows": R, "length": L, "positions": [p, ...]}  and R x L uint16
    prover  ok                  and R x V float32: logits of each row at its position, 0 <= p < L
    prover  unfit TEXT          instead of ok: what the model gave is no logits

V is the vocabulary of the data, told in the prover's settings. All R rows of a request go through
the model in one forward pass, so the server sets the micro-batch. No answer carries a length: the
server knows how many bytes are right and reads no others. A model that fails ends its prover with
a traceback, which is the last of its log. A prover that was shown validation rows could put them
there, so nothing of that log reaches an agent (`session/sealing.py`).
"""

from autoresearch_mcp.effects.sealing.dialogue import Dialogue, NoLogits, ProverEnded
from autoresearch_mcp.effects.sealing.lending import PROVER, lend

__all__ = ["PROVER", "Dialogue", "NoLogits", "ProverEnded", "lend"]
