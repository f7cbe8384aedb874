"""The sealed evaluation of one run: its model is scored elsewhere while it waits.

What the server learns from a prover that was shown validation rows is numbers alone. Its words
could be the rows', so an agent gets to read none of them from then on.
"""

from __future__ import annotations  # array[int] is a type from Python 3.12 on

import hashlib
import random
import time
from array import array
from collections.abc import Callable

from autoresearch_mcp.core import logtext
from autoresearch_mcp.core.crash import classify_crash
from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.evaluation import EvaluationData, bits_per_byte, objection
from autoresearch_mcp.core.events import HandedOver
from autoresearch_mcp.core.outcomes import Unevaluated
from autoresearch_mcp.core.trial import Evaluation
from autoresearch_mcp.effects import prepared, supervisor
from autoresearch_mcp.effects.rundir import RunDirectory
from autoresearch_mcp.effects.sealing import Dialogue, NoLogits, ProverEnded
from autoresearch_mcp.effects.supervisor import Channel
from autoresearch_mcp.session.guarding import Guard
from autoresearch_mcp.session.proving import NO_TRIAL, Subject, proving
from autoresearch_mcp.session.rooms import Rooms

_NEVER = Unevaluated(
    reason="the server has evaluated no model: evaluate_bpb was not called, or the run did not "
    "wait for its answer; what a log says is no result",
    error_class="handover",
    tried=False,
)
_LONGEST_REASON = 400


class Seal:
    """Evaluates the first model that a run hands over.

    Args:
        rooms: The recipe's rooms.
        guard: What holds the prover.
        subject: The run.
        directory: The run's; the prover's folders are made inside.
        meaningless: Whether the model is shown rows that mean nothing, because nobody wants its
            number and what its process leaves is given to others.
    """

    def __init__(
        self,
        rooms: Rooms,
        guard: Guard,
        subject: Subject,
        directory: RunDirectory,
        *,
        meaningless: bool,
    ) -> None:
        self._rooms, self._guard, self._subject = rooms, guard, subject
        self._directory, self._meaningless = directory, meaningless
        self._was_shown_rows = False
        self.result: Evaluation | Unevaluated = _NEVER
        """What came of it so far."""

    def attend(self, channel: Channel, give_up: Callable[[], str | None]) -> None:
        """Evaluate a model that has arrived, and tell the run; do nothing before and after.

        Args:
            channel: The run's.
            give_up: Asked about five times a second: a reason to stop, or None.

        Raises:
            Fault: The machine, not the model, is the reason why that is impossible.
        """
        handed = channel.handed_over
        if handed is None or self.result is not _NEVER:
            return
        self.result = self._evaluate(handed, give_up)
        if isinstance(self.result, Evaluation):
            channel.answer({"value": self.result.value})
        else:
            channel.answer({"problem": self.result.reason})

    def _evaluate(
        self, handed: supervisor.HandedOver, give_up: Callable[[], str | None]
    ) -> Evaluation | Unevaluated:
        if handed.ours:
            raise Fault(f"{handed.problem}: make room for the model there, then try again")
        if handed.sha256 is None:
            said = logtext.escape(handed.problem or "")[:_LONGEST_REASON]
            return Unevaluated(reason=f"no model was handed over: {said}", error_class="handover")
        trial, began = self._subject.trial, time.monotonic()
        # Before any validation token is shown: what is scored is what was trained.
        if trial != NO_TRIAL:
            event = HandedOver(trial=trial, model=handed.sha256, size=handed.size)
            self._rooms.ledger.append(event)
        data = self._data()
        try:
            losses = self._losses(data, give_up)
        except ProverEnded as ended:
            return self._failed(ended)
        if problem := objection(losses):
            return Unevaluated(reason=f"the model has no metric: {problem}", error_class="nan")
        stored = b"".join(row.tobytes() for row in losses)
        self._rooms.files.store_losses(trial, self._subject.number, stored)
        return Evaluation(
            value=bits_per_byte(losses, data),
            model=handed.sha256,
            losses=hashlib.sha256(stored).hexdigest(),
            seconds=time.monotonic() - began,
        )

    def _data(self) -> EvaluationData:
        data = self._guard.bench.data
        found = prepared.evaluation_data(data) if data else None
        if found is None:
            raise Fault(
                "the prepared data has no rows to evaluate on: run `autoresearch-mcp prepare`"
            )
        if data and self._meaningless:
            # One full micro-batch, and one as the last may be: kernels are made for shapes.
            size = data.manifest.profile.eval_micro_batch
            return found.meaningless(size + len(found.rows) % size)
        return found

    def _losses(
        self, data: EvaluationData, give_up: Callable[[], str | None]
    ) -> list[array[float]]:
        """Return the losses of every row, in the order of the data."""
        prepared_data = self._guard.bench.data
        assert prepared_data is not None
        micro_batch = prepared_data.manifest.profile.eval_micro_batch
        folder = self._directory.prover
        folder.make()
        with proving(self._rooms, self._guard, self._subject, folder, give_up) as prover:
            rehearse(prover, data)
            self._was_shown_rows = True
            return scored(prover, data, micro_batch)

    def _failed(self, ended: ProverEnded) -> Unevaluated:
        """Say why there is no metric: in full before the first row was shown, else in our words."""
        unfit = isinstance(ended, NoLogits)
        if self._was_shown_rows:  # its log may say what it saw, were it by the kind of its error
            return Unevaluated(
                reason=f"the model could not be evaluated on validation rows: {ended}",
                error_class="shape" if unfit else "other",
            )
        said = self._rooms.files.read(
            self._rooms.files.prover_log(self._subject.trial, self._subject.number)
        )
        crash = classify_crash(said, None)
        reason = ended.said if unfit else crash.reason if said else str(ended)
        return Unevaluated(
            reason=f"the model could not be evaluated: {logtext.escape(reason)[:_LONGEST_REASON]}",
            error_class="shape" if unfit else crash.error_class,
        )


def rehearse(prover: Dialogue, data: EvaluationData) -> None:
    """Show a row that means nothing first: what fails on it may still be told in full."""
    prover.losses(list(data.meaningless(1).rows))


def scored(prover: Dialogue, data: EvaluationData, micro_batch: int) -> list[array[float]]:
    """Return the losses that a prover claims, row by row; it is shown the rows in random order.

    Args:
        prover: Answers for the model.
        data: The rows.
        micro_batch: Rows in one forward pass: the harness's, so that the number is its number.
    """
    order = list(range(len(data.rows)))
    random.SystemRandom().shuffle(order)
    found: dict[int, array[float]] = {}
    for start in range(0, len(order), micro_batch):
        part = order[start : start + micro_batch]
        claimed = prover.losses([data.rows[index] for index in part])
        length = len(claimed) // len(part)
        for place, index in enumerate(part):
            found[index] = claimed[place * length : (place + 1) * length]
    return [found[index] for index in range(len(order))]
