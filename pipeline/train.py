"""Training one run, from its specification to its outcome.

Needs torch, numpy, pyarrow and safetensors only. On a CPU, a run that was killed and resumed from any checkpoint gives the
same bits as one that was not: batches are a function of their number, and every random state is saved, as is the state of a
network that reads on from batch to batch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline import checkpoint
from pipeline.cost import TrainingLedger
from pipeline.data.batches import AnyBatches, training_batches
from pipeline.data.tensors import AnySet, TextSet
from pipeline.learning_rate import learning_rate_at, set_rate
from pipeline.origin import Origin
from pipeline.passes import Passes, evaluate
from pipeline.plan import Spec
from pipeline.ranks import ALONE, Ranks, RanksError
from pipeline.record import Result
from pipeline.recorded import RecordedStep, cuda_recorder
from pipeline.run import Protocol, Run
from pipeline.seeds import derive_seed, seeds_of
from sparse_methods.network import maskable_weights
from sparse_methods.sparsifier import Sparsifier, sparsify
from sparse_methods.topology import NonFiniteScoreError

CHECKPOINT_SHARE = 0.01
"""Of a run's time that writing checkpoints may take."""
BATCHES_BETWEEN_QUESTIONS = 50
"""Batches after which ranks ask rank 0 whether a checkpoint is due."""


@dataclass
class Clock:
    """Where the wall time of a run went, over all its attempts."""

    train_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    checkpoint_seconds: float = 0.0
    resumes: int = 0


@dataclass
class Training:
    """The state of one run; everything that a checkpoint holds."""

    spec: Spec
    model: nn.Module
    optimizer: torch.optim.Optimizer
    sparse: Sparsifier
    batches: AnyBatches
    passes: Passes
    ledger: TrainingLedger
    loss_sum: Tensor
    """Of the training losses since the last point of the curve, float64 on the device."""
    ranks: Ranks = ALONE
    """The processes that train this run together."""
    loss_count: int = 0
    graph: RecordedStep | None = None
    """What replays the steps that change no topology, where that was asked for."""
    chain: Callable[[Tensor, Tensor, Tensor, float], float] | None = None
    """What gives loss and gradients in one call, for networks where that is possible (``Sparsifier.gradient_of_chain``)."""
    curve: list[dict[str, float]] = field(default_factory=list)
    diverged: bool = False
    result: Result | None = None
    clock: Clock = field(default_factory=Clock)

    @property
    def run(self) -> Run:
        """What is trained."""
        return self.spec.run

    @property
    def device(self) -> torch.device:
        """Where it is trained."""
        return self.batches.dataset.device

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, and all that was measured so far."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sparse": self.sparse.state_dict(),
            "ledger": self.ledger.state_dict(),
            "loss_sum": self.loss_sum,
            "loss_count": self.loss_count,
            "state": self.passes.whole_state(),
            "curve": self.curve,
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
            "clock": vars(self.clock),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.sparse.load_state_dict(state["sparse"])
        self.ledger.load_state_dict(state["ledger"])
        self.loss_sum, self.loss_count = state["loss_sum"].to(self.loss_sum.device), state["loss_count"]
        self.passes.take_state(state["state"])
        self.curve = list(state["curve"])
        if self.ranks.is_first:
            torch.set_rng_state(state["random"])
            if state["cuda_random"] is not None and self.device.type == "cuda":
                torch.cuda.set_rng_state(state["cuda_random"], self.device)
        else:
            torch.manual_seed(derive_seed(seeds_of(self.run).noise, self.ranks.index, self.ledger.batches))
        self.clock = Clock(**state["clock"])
        self.clock.resumes += 1


def train(
    training: Training,
    checkpoints: Path,
    checkpoint_seconds: float = 30.0,
    report: Callable[[int, int], None] = lambda step, steps: None,
    snapshot: Callable[[], None] = lambda: None,
) -> Training:
    """Train to the last step, or until the loss is not finite. Resumes from ``checkpoints`` when it holds one.

    ``checkpoint_seconds`` is the least time between checkpoints, which is longer where writing one takes more than
    ``CHECKPOINT_SHARE`` of it; 0 asks for one after every batch. ``report`` hears of every point of the curve, ``snapshot`` is
    called after the steps that the run keeps. Raises ``checkpoint.CheckpointError`` for a checkpoint that cannot be used.
    """
    run, sparse, ranks = training.run, training.sparse, training.ranks
    saved = ranks.from_first(lambda: checkpoint.load(checkpoints, run.digest))
    if saved is not None:
        training.load_state_dict(saved)
    points = {round(run.steps * point / run.protocol.evaluations) for point in range(1, run.protocol.evaluations + 1)}
    kept = {run.scaled(step) for step in run.snapshots}
    pause = checkpoint_seconds
    started = last_checkpoint = time.perf_counter()
    while sparse.steps < run.steps and not training.diverged:
        try:
            stepped = take_batch(training)
        except NonFiniteScoreError:
            training.diverged = True
            break
        if stepped and sparse.steps in kept:
            snapshot()
        if stepped and sparse.steps in points:
            training.clock.train_seconds += time.perf_counter() - started
            add_point(training)
            report(sparse.steps, run.steps)
            started = time.perf_counter()
        due = _checkpoint_due(training, time.perf_counter() - last_checkpoint >= pause)
        if due and sparse.steps < run.steps and not training.diverged:
            training.clock.train_seconds += time.perf_counter() - started
            took = save_checkpoint(training, checkpoints)
            pause = checkpoint_seconds and max(checkpoint_seconds, took / CHECKPOINT_SHARE)
            started = last_checkpoint = time.perf_counter()
    training.clock.train_seconds += time.perf_counter() - started
    return training


def _checkpoint_due(training: Training, late: bool) -> bool:
    """Whether all ranks write a checkpoint now. Rank 0's clock decides, and is asked now and then: asking takes time."""
    ranks = training.ranks
    if ranks.count > 1 and training.ledger.batches % BATCHES_BETWEEN_QUESTIONS:
        return False
    return ranks.from_first(lambda: late)


def take_batch(training: Training) -> bool:
    """One batch: forward, backward, and the engine's step. False when topology was changed in place of the step.

    Raises MasksDisagreeError when an update left the ranks with different masks.
    """
    run, sparse, number = training.run, training.sparse, training.ledger.batches
    set_rate(training.optimizer, learning_rate_at(sparse.steps, run))
    if sparse.awaits_first_batch:
        training.ledger.charge_first_mask(sparse.method)
    else:
        training.ledger.charge(sparse.nonzeros, sparse.gradient_nonzeros)
    if training.graph is not None and training.graph.serves(number):
        loss, stepped = training.graph.take(number), True
    else:
        loss, stepped = _learn_and_step(training, number)
    training.loss_sum += loss
    training.loss_count += 1
    return stepped


def _learn_and_step(training: Training, number: int) -> tuple[Tensor, bool]:
    """Loss of the batch, and whether the optimizer made a step."""
    sparse = training.sparse
    if training.chain is None:
        training.optimizer.zero_grad(set_to_none=True)
        loss = training.passes.learn(number)
    else:
        loss = training.chain(*training.batches.stored(number))
    batch = training.passes.whole(number) if sparse.awaits_first_batch else None
    return loss, sparse.step(training.run.protocol.clip_norm, batch)


def add_point(training: Training) -> None:
    """Evaluate, append to the curve, and notice divergence (a training or test loss that is not finite)."""
    started = time.perf_counter()
    dataset = training.batches.dataset
    correct, total, test_loss = evaluate(training.model, dataset, training.run.protocol.precision, training.ranks)
    train_loss = float(training.ranks.mean(training.loss_sum) / training.loss_count)
    training.loss_sum.zero_()
    training.loss_count = 0
    training.curve.append(
        {
            "step": training.sparse.steps,
            "epoch": training.batches.epoch(training.ledger.batches),
            "learning_rate": learning_rate_at(training.sparse.steps - 1, training.run),
            "train_loss": train_loss,
            "test_loss": test_loss,
            "test_accuracy": correct / total,
            "sparsity": training.sparse.sparsity,
            "train_flops": float(training.ledger.total_flops["rigl"]),
        }
    )
    training.diverged = not (math.isfinite(train_loss) and math.isfinite(test_loss))
    if not training.diverged:
        bits = test_loss / math.log(2) if isinstance(dataset, TextSet) else None
        training.result = Result(correct, total, test_loss, train_loss, bits)
    training.clock.evaluation_seconds += time.perf_counter() - started


def save_checkpoint(training: Training, checkpoints: Path) -> float:
    """Write a checkpoint; the seconds that it took, which are noted. All ranks call it, rank 0 writes."""
    started = time.perf_counter()
    training.ranks.mean(training.loss_sum)
    state = training.state_dict()
    if training.ranks.is_first:
        checkpoint.save(checkpoints, training.ledger.batches, state, training.run.digest)
    took = time.perf_counter() - started
    training.clock.checkpoint_seconds += took
    return took


def prepare(
    spec: Spec,
    dataset: AnySet,
    origin: Origin | None = None,
    ranks: Ranks = ALONE,
    cuda_graph: bool = False,
) -> Training:
    """Build the run's network, optimizer and engine on the data set's device, ready to train from ``origin``.

    ``cuda_graph`` replays ordinary steps as one CUDA graph (``recorded.py``); CannotError on a CPU and on several ranks.
    Raises ValueError for samples of another shape than those that the specification's costs are for, CannotError for what
    the method or the execution cannot do, RanksError for a batch that ``ranks`` cannot share.
    """
    origin = origin or Origin()
    run, protocol, device, seeds = spec.run, spec.run.protocol, dataset.device, seeds_of(spec.run)
    shape = run.sample_shape(dataset.input_shape)
    if spec.input_shape != shape:
        costed = list(spec.input_shape)
        raise ValueError(f"samples of {dataset.name!r} have shape {list(shape)}; the run was resolved for {costed}")
    torch.manual_seed(seeds.weights)
    model = spec.build()
    if origin.weights is not None:
        model.load_state_dict(origin.weights)
    model.to(device, memory_format=torch.channels_last if images_are_convolved(model) else torch.preserve_format)
    optimizer = make_optimizer(model, run)
    schedule = spec.schedule()
    sparse = sparsify(
        model,
        optimizer,
        method=spec.method(),
        sparsity=run.sparsity,
        distribution=run.distribution,
        total_steps=schedule.total_steps,
        masks=origin.masks,
        origin=None if origin.final is None else _by_layer(model, origin.final),
        layers=spec.rules,
        update_every=schedule.update_every,
        begin=schedule.begin,
        end=schedule.end,
        drop_fraction=schedule.drop_fraction,
        decay=schedule.decay,
        seed=seeds.topology,
        execution=_execution(protocol, ranks),
    )
    torch.manual_seed(seeds.noise if ranks.is_first else derive_seed(seeds.noise, ranks.index, 0))
    batches = training_batches(dataset, protocol, seeds)
    passes = Passes(model, batches, protocol, ranks)
    return Training(
        spec=spec,
        model=model,
        optimizer=optimizer,
        sparse=sparse,
        batches=batches,
        passes=passes,
        ranks=ranks,
        ledger=TrainingLedger(spec.network, protocol.batch_size),
        loss_sum=torch.zeros((), dtype=torch.float64, device=device),
        graph=RecordedStep(passes, sparse, protocol.clip_norm, cuda_recorder(device, ranks)) if cuda_graph else None,
        chain=sparse.gradient_of_chain(protocol.label_smoothing),
    )


def _execution(protocol: Protocol, ranks: Ranks) -> str:
    """The sparse kernels take neither bfloat16 nor parts of batches; asked for by name, they are refused where a protocol is
    read. Nor do they average gradients over processes."""
    if protocol.execution == "sparse" and ranks.count > 1:
        raise RanksError(f"execution 'sparse' trains in one process, not in {ranks.count}")
    divided = ranks.count > 1 or protocol.microbatch is not None
    return "masked" if protocol.precision == "bf16" or divided else protocol.execution


def images_are_convolved(model: nn.Module) -> bool:
    """Whether its weights are laid out with the channels innermost, which convolutions of two dimensions are faster for."""
    return any(isinstance(module, nn.Conv2d) for module in model.modules())


def _by_layer(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The maskable weights of a state dict, by layer name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {layer: state[names[id(weight)]] for layer, weight in maskable_weights(model).items()}


def make_optimizer(model: nn.Module, run: Run) -> torch.optim.Optimizer:
    """The protocol's optimizer, with weight decay on kernels only."""
    settings = run.protocol.optimizer
    kernels = {id(weight) for weight in maskable_weights(model).values()}
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if id(p) in kernels], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if id(p) not in kernels], "weight_decay": 0.0},
    ]
    rate = learning_rate_at(0, run)
    if settings.name == "sgd":
        # torch refuses Nesterov without momentum; there it would be the same plain step.
        nesterov = settings.nesterov and settings.momentum > 0
        return torch.optim.SGD(groups, lr=rate, momentum=settings.momentum, nesterov=nesterov, fused=True)
    cls = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.name]
    return cls(groups, lr=rate, betas=(settings.beta1, settings.beta2), fused=True)
