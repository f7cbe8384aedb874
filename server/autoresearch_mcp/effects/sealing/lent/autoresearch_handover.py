"""A model as bytes: sent out of its run, and loaded by a prover.

Lent to the recipe's interpreter, which has none of the server's packages: the standard library,
cloudpickle (lent as well) and MLX are all there is. The model travels by value, with the classes
and functions of `__main__` that it needs; modules that the prover can import too go by name. The
protocol is in `effects/sealing/__init__.py`.
"""
# pyright: basic

import gc
import io
import json
import os
import pickle
from collections.abc import Callable, Iterator
from functools import wraps
from importlib import import_module
from inspect import getclosurevars
from types import FunctionType
from typing import Any, BinaryIO

import cloudpickle

mx: Any = import_module("mlx.core")

_FRAME = 1 << 20
_END, _TAKEN_BACK = bytes(4), b"\xff" * 4
_KEPT = 4096
_DEPTH = 12
_MAKERS = (
    *("compile", "checkpoint", "vmap", "grad", "value_and_grad", "custom_function"),
    *("fast.metal_kernel", "fast.cuda_kernel"),
)
"""Functions of mlx.core whose results cannot be looked into: they are made again instead."""

_made: dict[int, tuple[Any, str, tuple[Any, ...], dict[str, Any]]] = {}
"""Id of such a result -> itself, its maker's name, and the arguments; the latest ones."""

_answers: list[dict[str, Any]] = []
"""What the server said about the first model; any later one gets the same."""


class Unfit(Exception):
    """Raised for a model that cannot be taken out of its process; says what to do about it."""


def remember() -> None:
    """Note from now on what MLX's function makers are called with; before any is called."""
    for name in _MAKERS:
        owner, own = _owner(name)
        if (maker := getattr(owner, own, None)) is not None:
            setattr(owner, own, _noting(maker, name))


def hand_over(channel: int, model: Any) -> float:
    """Send the model to the run's supervisor and return the metric that it computes.

    The process gives back what memory it can before the server starts to evaluate: garbage and
    MLX's cache. Arrays that the script still holds, its optimizer state above all, stay.

    Args:
        channel: The descriptor that leads to the supervisor.
        model: Maps token ids to logits; only the first one counts.

    Raises:
        SystemExit: The model cannot be sent, or the server could not evaluate it.
    """
    if not _answers:
        try:
            _send(channel, model)
        except Unfit as reason:
            _write(channel, f"unfit {reason}\n".encode())
        _answers.append(_answer(channel))
    if problem := _answers[0].get("problem"):
        raise SystemExit(f"the model was not evaluated: {problem}")
    return float(_answers[0]["value"])


def dump(model: Any, stream: BinaryIO) -> None:
    """Write a model to a stream.

    Raises:
        Unfit: Something in it exists in this process only.
    """
    try:
        _Pickler(stream, protocol=5).dump(model)
    except (*_NO_WAY, RecursionError) as error:
        raise Unfit(_culprit(model, error)) from error


def load(stream: BinaryIO) -> Any:
    """Return the model that `dump` wrote, running whatever code it brings."""
    return pickle.load(stream)  # noqa: S301 - only ever called in a prover's sandbox


class _Pickler(cloudpickle.Pickler):
    """Knows MLX's objects beside all that cloudpickle knows."""

    def reducer_override(self, obj: Any) -> Any:
        """Return how to make an object again, or leave that to others."""
        if made := _made.get(id(obj)):
            return _make, made[1:]
        if isinstance(obj, mx.Dtype):
            return _dtype, (str(obj).rpartition(".")[2],)
        if isinstance(obj, mx.Device):
            return mx.Device, (obj.type,)
        if isinstance(obj, mx.Stream):
            return mx.default_stream, (obj.device,)
        if type(obj).__name__ == "nb_func":
            return _found, _name_of(obj)
        if type(obj).__name__ == "_gc_func":
            raise pickle.PicklingError("MLX made it before this run could take note")
        return super().reducer_override(obj)


_NO_WAY = (TypeError, ValueError, AttributeError, NotImplementedError, pickle.PicklingError)
"""What pickling raises for an object that it cannot take along."""


class _Frames(io.RawIOBase):
    """A stream that the channel carries in frames."""

    def __init__(self, channel: int) -> None:
        self._channel = channel

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = memoryview(data).cast("B")[:_FRAME]
        if part:
            _write(self._channel, len(part).to_bytes(4, "big"))
            _write(self._channel, part)
        return len(part)


def _send(channel: int, model: Any) -> None:
    _write(channel, b"model\n")
    stream = io.BufferedWriter(_Frames(channel), _FRAME)
    try:
        dump(model, stream)
        stream.flush()
    except Unfit:
        stream.flush()
        _write(channel, _TAKEN_BACK)
        raise
    _write(channel, _END)
    gc.collect()
    mx.clear_cache()


def _write(channel: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(channel, view) :]


def _answer(channel: int) -> dict[str, Any]:
    """Read the server's line; what stands behind it is nothing of ours."""
    line = b""
    while not line.endswith(b"\n"):
        got = os.read(channel, 4096)
        if not got:
            raise SystemExit("the run's supervisor is gone")
        line += got
    return json.loads(line)


def _owner(name: str) -> tuple[Any, str]:
    """Return the object that has something of mlx.core, and the name it has there."""
    *folders, own = name.split(".")
    owner = mx
    for folder in folders:
        owner = getattr(owner, folder)
    return owner, own


def _noting(maker: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(maker)
    def noting(*args: Any, **named: Any) -> Any:
        result = maker(*args, **named)
        _made[id(result)] = (result, name, args, named)
        if len(_made) > _KEPT:
            del _made[next(iter(_made))]
        return result

    return noting


def _make(name: str, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    owner, own = _owner(name)
    return getattr(owner, own)(*args, **named)


def _dtype(name: str) -> Any:
    return getattr(mx, name, None) or getattr(mx, f"{name}_")


def _name_of(function: Any) -> tuple[str, str]:
    module, name = function.__module__, function.__name__
    if getattr(import_module(module), name, None) is not function:
        raise pickle.PicklingError(f"{module}.{name} is another function")
    return module, name


def _found(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


def _culprit(model: Any, error: Exception) -> str:
    """Say which part of a model cannot be taken along, by the name its author knows it by."""
    path, part, depth = "the model", model, 0
    while depth < _DEPTH:
        step = next(((name, one) for name, one in _parts(part) if not _travels(one)), None)
        if step is None:
            break
        path, part, depth = path + step[0], step[1], depth + 1
    said = " ".join(str(error).split())[:200]
    return (
        f"{path} ({type(part).__name__}) cannot be handed over: {said}; keep it out of the model "
        "that evaluate_bpb is given (delete the attribute first, or use a plain function or module)"
    )


def _parts(whole: Any) -> Iterator[tuple[str, Any]]:
    """Yield what an object is made of, each part with what leads to it."""
    if isinstance(whole, dict):
        yield from ((f".{name}", part) for name, part in whole.items())
    elif isinstance(whole, list | tuple):
        yield from ((f"[{index}]", part) for index, part in enumerate(whole))
    elif isinstance(whole, FunctionType):
        used = getclosurevars(whole)
        yield from (
            (f" -> {name}", part) for name, part in {**used.nonlocals, **used.globals}.items()
        )
    yield from ((f".{name}", part) for name, part in getattr(whole, "__dict__", {}).items())


def _travels(part: Any) -> bool:
    try:
        _Pickler(io.BytesIO(), protocol=5).dump(part)
    except (*_NO_WAY, RecursionError):
        return False
    return True
