"""A model leaves its run and answers elsewhere: what MLX users write, and what cannot travel."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from array import array
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest

from autoresearch_mcp.effects import launcher, sealing, supervisor
from autoresearch_mcp.effects.sealing import Dialogue
from autoresearch_mcp.effects.supervisor import Channel, HandedOver, RunSpec, Store

pytestmark = pytest.mark.skipif(find_spec("mlx") is None, reason="no MLX here")

VOCABULARY, LENGTH = 16, 8
ROWS = [array("H", [(7 * row + 3 * at) % VOCABULARY for at in range(LENGTH + 1)]) for row in (1, 2)]

HEAD = f"""
import json, os, sys
import mlx.core as mx
from mlx import nn
V = {VOCABULARY}
ROWS = mx.array({[list(row) for row in ROWS]})
SETTINGS = json.load(open(os.environ["AUTORESEARCH_RUN"]))
def hand_over(model):
    import autoresearch_handover
    logits = model(ROWS[:, :-1]).astype(mx.float32)
    chosen = mx.take_along_axis(logits, ROWS[:, 1:, None], axis=-1).squeeze(-1)
    print(json.dumps((mx.logsumexp(logits, axis=-1) - chosen).reshape(-1).tolist()), flush=True)
    return autoresearch_handover.hand_over(SETTINGS["handover_fd"], model)
"""
MODULE = """
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(V, 64)
        self.out = nn.Linear(64, V)
    def __call__(self, tokens):
        return self.out(self.table(tokens))
"""
TRAVELLERS = {
    "a module of the script": MODULE + "model = Model()",
    "a module that others are derived from and that calls super": MODULE
    + """
class Deeper(Model):
    def __init__(self):
        super().__init__()
        self.more = [nn.Linear(64, 64) for _ in range(2)]
    def __call__(self, tokens):
        x = self.table(tokens)
        for layer in self.more:
            x = x + layer(x)
        return super().__call__(tokens) + self.out(x)
model = Deeper()""",
    "a lambda over a module": MODULE + "inner = Model(); model = lambda tokens: 2 * inner(tokens)",
    "a closure": """
def build():
    weights = mx.random.normal((V, V))
    def forward(tokens):
        return weights[tokens]
    return forward
model = build()""",
    "a bound method": MODULE + "model = Model().__call__",
    "a partial": MODULE
    + "from functools import partial\nmodel = partial(lambda m, x: m(x), Model())",
    "a compiled function": MODULE + "inner = Model(); model = mx.compile(inner)",
    "a compiled function with state": MODULE
    + "inner = Model(); model = mx.compile(lambda x: inner(x), inputs=[inner.state])",
    "a compiled function as attribute": MODULE
    + """
from functools import partial
@partial(mx.compile, shapeless=True)
def act(x):
    return mx.square(mx.maximum(x, 0))
class Squared(Model):
    def __call__(self, tokens):
        return self.out(self.act(self.table(tokens)))
model = Squared(); model.act = act""",
    "an activation of the library": MODULE
    + """
class Active(Model):
    def __call__(self, tokens):
        return self.out(self.act(self.table(tokens)))
model = Active(); model.act = nn.silu""",
    "a function of the library": MODULE
    + """
class Normed(Model):
    def __call__(self, tokens):
        return self.out(self.norm(self.table(tokens), None, 1e-5))
model = Normed(); model.norm = mx.fast.rms_norm""",
    "a custom function and a checkpoint": MODULE
    + """
@mx.custom_function
def cap(x):
    return 15 * mx.tanh(x / 15)
@cap.vjp
def cap_vjp(primals, cotangents, outputs):
    return cotangents
class Capped(Model):
    def __call__(self, tokens):
        return cap(mx.checkpoint(self.out)(self.table(tokens)))
model = Capped()""",
    "a kernel that another device runs": MODULE
    + """
kernel = mx.fast.metal_kernel(name="twice", input_names=["x"], output_names=["y"],
    source="uint i = thread_position_in_grid.x; y[i] = 2 * x[i];")
class Kernelled(Model):
    def __call__(self, tokens):
        x = self.out(self.table(tokens))
        if not mx.metal.is_available():
            return 2 * x
        return kernel(inputs=[x], grid=(x.size, 1, 1), threadgroup=(32, 1, 1),
            output_shapes=[x.shape], output_dtypes=[x.dtype])[0]
model = Kernelled()""",
    "quantised layers": MODULE + "model = Model(); nn.quantize(model, group_size=32, bits=4)",
    "tied weights": """
class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(V, 64)
        self.out = nn.Linear(64, V, bias=False)
        self.out.weight = self.table.weight
    def __call__(self, tokens):
        return self.out(self.table(tokens))
model = Tied()""",
    "half precision": MODULE + "model = Model(); model.set_dtype(mx.bfloat16)",
    "the library's own transformer": MODULE
    + """
class Small(Model):
    def __init__(self):
        super().__init__()
        self.body = nn.TransformerEncoder(1, 64, 2)
        self.rope = nn.RoPE(64)
    def __call__(self, tokens):
        x = self.rope(self.table(tokens))
        mask = nn.MultiHeadAttention.create_additive_causal_mask(tokens.shape[1])
        return self.out(self.body(x, mask))
model = Small()""",
    "settings of many kinds": MODULE
    + """
import enum, numpy as np
from dataclasses import dataclass
class Kind(enum.Enum):
    PLAIN = 1
@dataclass(frozen=True, slots=True)
class Config:
    dtype: mx.Dtype
    kind: Kind
class Configured(Model):
    def __init__(self, config):
        super().__init__()
        self.config, self.scale = config, np.float32(2)
        self.places = mx.cpu, mx.default_device(), mx.default_stream(mx.default_device())
    def __call__(self, tokens):
        assert self.config.kind is Kind.PLAIN
        return super().__call__(tokens).astype(self.config.dtype) * float(self.scale)
model = Configured(Config(mx.float16, Kind.PLAIN))""",
    "its optimizer beside it": MODULE
    + """
import mlx.optimizers
model = Model()
object.__setattr__(model, "optimizer", mlx.optimizers.AdamW(1e-3))
step = nn.value_and_grad(model, lambda m, x: m(x).sum())
_, grads = step(model, ROWS[:, :-1])
model.optimizer.update(model, grads)
mx.eval(model.state, model.optimizer.state)""",
    "methods that only training uses": MODULE
    + """
def rows():
    while True:
        yield ROWS
class Trained(Model):
    def loss_and_grad(self):
        return step(self, ROWS)
model = Trained(); step = nn.value_and_grad(model, lambda m, x: m(x).sum())""",
}
STAY = {
    "model.loader (generator)": MODULE + "model = Model(); model.loader = (n for n in [1])",
    "model.body.lock (lock)": MODULE
    + "import threading\nmodel = Model(); model.body = Model(); model.body.lock = threading.Lock()",
    "model.line (socket)": MODULE
    + "import socket\nmodel = Model(); model.line = socket.socketpair()[0]",
    "model.layers[1].source (generator)": MODULE
    + "model = Model(); model.layers = [Model(), Model()]"
    "; model.layers[1].source = (n for n in [])",
    "model -> source (generator)": MODULE
    + "inner, source = Model(), (n for n in [1]); model = lambda x: (source, inner(x))[1]",
}


class Traveller:
    """A script that hands its model over, and what arrived."""

    def __init__(self, folder: Path, source: str) -> None:
        self.folder, self.model = folder, folder / "model"
        sealing.lend(folder / "lent")
        script = folder / "train.py"
        script.write_text(HEAD + dedent(source) + "\nprint(hand_over(model))\n")
        with Channel(Store(self.model, 1 << 24)) as channel:
            spec = self._spec(script, channel.child_end, "run")
            ended = supervisor.execute(spec, channel, lambda: self._answer(channel))
        self.exit_code, self.log = ended.exit_code, spec.log.read_text()

    def _answer(self, channel: Channel) -> None:
        self.arrived = channel.handed_over
        if isinstance(self.arrived, HandedOver):
            problem = self.arrived.problem
            channel.answer({"problem": problem} if problem else {"value": 1.5})

    def _spec(self, script: Path, channel: int, name: str) -> RunSpec:
        settings = self.folder / f"{name}.json"
        given = {"handover_fd": channel, "lent": str(self.folder / "lent")}
        given |= {"model": str(self.model), "profile": {"vocab_size": VOCABULARY}}
        settings.write_text(json.dumps(given))
        start = (sys.executable, "-I", "-B", "-u", launcher.__file__, "python", str(script))
        environment = {"AUTORESEARCH_RUN": str(settings), "ARAH_TRIAL_SEED": "1"}
        return RunSpec(
            argv=start,
            cwd=self.folder,
            environment={**environment, "MLX_DISABLE_COMPILE": "1", "PATH": os.defpath},
            log=self.folder / f"{name}.log",
            hard_timeout=60.0,
        )

    def questioned(self, ask: str, rows: list[array[int]], *positions: int) -> list[float]:
        """Return what a prover answers for the model."""
        mine, theirs = socket.socketpair()
        with mine, theirs:
            script = self.folder / "lent" / sealing.PROVER
            spec = self._spec(script, theirs.fileno(), "prover")
            with supervisor.attended(spec, theirs):
                prover = Dialogue(mine, VOCABULARY, time.monotonic() + 60, lambda: None)
                prover.expect("launched")
                prover.expect("ready")
                if ask == "losses":
                    return list(prover.losses(rows))
                return [x for row in prover.logits(rows, positions) for x in row]


@pytest.mark.parametrize("name", TRAVELLERS)
def test_a_model_says_elsewhere_what_it_said_at_home(tmp_path: Path, name: str) -> None:
    traveller = Traveller(tmp_path, TRAVELLERS[name])

    assert traveller.exit_code == 0, traveller.log
    at_home, value = traveller.log.splitlines()[-2:]
    assert traveller.questioned("losses", ROWS) == pytest.approx(json.loads(at_home), abs=1e-6)
    assert value == "1.5"


@pytest.mark.parametrize("name", STAY)
def test_what_cannot_travel_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    traveller = Traveller(tmp_path, STAY[name])

    assert traveller.exit_code == 1
    assert traveller.arrived is not None
    assert traveller.arrived.sha256 is None
    last = traveller.log.splitlines()[-1]
    assert last.startswith("the model was not evaluated: the " + name), last
    assert "keep it out of the model" in last
    assert "Traceback" not in traveller.log


def test_logits_come_from_the_position_asked_for(tmp_path: Path) -> None:
    traveller = Traveller(
        tmp_path, "model = lambda tokens: mx.eye(V)[tokens] + 100 * tokens[..., None]"
    )
    inputs = [row[:-1] for row in ROWS]
    found = traveller.questioned("logits", inputs, 2, 5)

    expected = [
        100.0 * row[at] + (token == row[at])
        for row, at in zip(inputs, (2, 5), strict=True)
        for token in range(VOCABULARY)
    ]
    assert found == expected
