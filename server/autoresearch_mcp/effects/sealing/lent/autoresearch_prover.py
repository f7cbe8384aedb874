"""A prover: answers for one model, in a sandbox without data, on an inherited socket.

Started by the launcher in the recipe's interpreter. The protocol is in
`effects/sealing/__init__.py`. What the model raises ends this process, traceback and all.
"""
# pyright: basic

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

sys.path.append(str(Path.cwd()))  # the recipe: its harness, and modules that the model names

import autoresearch_handover as handover

mx: Any = import_module("mlx.core")


class NoLogits(Exception):
    """Raised where the model gave something else than logits."""


def main() -> None:
    """Load the model, then answer until the server hangs up."""
    given = json.loads(Path(os.environ["AUTORESEARCH_RUN"]).read_bytes())
    vocabulary = given["profile"]["vocab_size"]
    with os.fdopen(given["handover_fd"], "r+b", buffering=0) as socket:
        requests = os.fdopen(os.dup(socket.fileno()), "rb")
        with Path(given["model"]).open("rb") as stream:
            model = handover.load(stream)
        socket.write(b"ready\n")
        while line := requests.readline():
            asked = json.loads(line)
            try:
                answer = _ANSWERS[asked["do"]](model, asked, requests, vocabulary)
            except NoLogits as reason:
                _write(socket, f"unfit {reason}\n".encode())
            else:
                _write(socket, b"ok\n" + answer)


def losses(model: Any, asked: dict[str, Any], requests: BinaryIO, vocabulary: int) -> bytes:
    """Return the nats of every target of the rows sent; the softmax is taken here, in fp32."""
    rows = _rows(asked, requests)
    inputs, targets = rows[:, :-1], rows[:, 1:]
    logits = _logits(model, inputs, vocabulary)
    chosen = mx.take_along_axis(logits, targets[..., None], axis=-1).squeeze(-1)
    return bytes(memoryview(mx.logsumexp(logits, axis=-1) - chosen))


def logits(model: Any, asked: dict[str, Any], requests: BinaryIO, vocabulary: int) -> bytes:
    """Return of each row sent the logits at the position asked for."""
    inputs = _rows(asked, requests)
    positions = mx.array(asked["positions"])[:, None, None]
    found = _logits(model, inputs, vocabulary)
    return bytes(memoryview(mx.take_along_axis(found, positions, axis=1).squeeze(1)))


_ANSWERS = {"losses": losses, "logits": logits}


def _rows(asked: dict[str, Any], requests: BinaryIO) -> Any:
    """Read token ids; shape (rows, length), int32."""
    shape = asked["rows"], asked["length"]
    size = 2 * shape[0] * shape[1]
    data = memoryview(requests.read(size)).cast("H", shape)
    return mx.array(data).astype(mx.int32)


def _logits(model: Any, inputs: Any, vocabulary: int) -> Any:
    """Return the model's logits in fp32; shape (rows, T, vocabulary)."""
    found = model(inputs)
    expected = (*inputs.shape, vocabulary)
    if not isinstance(found, mx.array) or found.shape != expected:
        got = found.shape if isinstance(found, mx.array) else type(found).__name__
        raise NoLogits(f"model(inputs) must return logits of shape {expected}, not {got}")
    return found.astype(mx.float32)


def _write(socket: Any, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[socket.write(view) :]


if __name__ == "__main__":
    main()
