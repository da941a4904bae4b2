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
from torch.nn import functional

from pipeline import checkpoint
from pipeline.cost import TrainingLedger
from pipeline.data.batches import NOT_JUDGED, Batches, TextBatches, evaluation_batches, training_batches
from pipeline.data.tensors import DataSet, TextSet
from pipeline.learning_rate import learning_rate_at
from pipeline.origin import Origin
from pipeline.plan import Spec
from pipeline.record import Result
from pipeline.run import Run
from pipeline.seeds import seeds_of
from sparse_methods.method import Batch
from sparse_methods.network import maskable_weights
from sparse_methods.sparsifier import Sparsifier, sparsify
from sparse_methods.topology import NonFiniteScoreError


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
    batches: Batches | TextBatches
    ledger: TrainingLedger
    loss_sum: Tensor
    """Of the training losses since the last point of the curve, float64 on the device."""
    loss_count: int = 0
    chain: Callable[[Tensor, Tensor, Tensor, float], float] | None = None
    """What gives loss and gradients in one call, for networks where that is possible (``Sparsifier.gradient_of_chain``)."""
    state: Tensor | None = None
    """In which the last batch left the network; None for one that keeps none."""
    curve: list[dict[str, float]] = field(default_factory=list)
    diverged: bool = False
    result: Result | None = None
    clock: Clock = field(default_factory=Clock)

    @property
    def run(self) -> Run:
        """What is trained."""
        return self.spec.run

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, and all that was measured so far."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sparse": self.sparse.state_dict(),
            "ledger": self.ledger.state_dict(),
            "loss_sum": self.loss_sum,
            "loss_count": self.loss_count,
            "state": self.state,
            "curve": self.curve,
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "clock": vars(self.clock),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.sparse.load_state_dict(state["sparse"])
        self.ledger.load_state_dict(state["ledger"])
        self.loss_sum, self.loss_count = state["loss_sum"].to(self.loss_sum.device), state["loss_count"]
        self.state = None if state["state"] is None else state["state"].to(self.loss_sum.device)
        self.curve = list(state["curve"])
        torch.set_rng_state(state["random"])
        if state["cuda_random"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["cuda_random"])
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

    ``checkpoint_seconds`` is the least time between checkpoints, ``report`` hears of every point of the curve, ``snapshot`` is
    called after the steps that the run keeps. Raises
    ``checkpoint.CheckpointError`` for a checkpoint that cannot be used.
    """
    run, sparse = training.run, training.sparse
    saved = checkpoint.load(checkpoints, run.digest)
    if saved is not None:
        training.load_state_dict(saved)
    points = {round(run.steps * point / run.protocol.evaluations) for point in range(1, run.protocol.evaluations + 1)}
    kept = {run.scaled(step) for step in run.snapshots}
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
        due = time.perf_counter() - last_checkpoint >= checkpoint_seconds
        if due and sparse.steps < run.steps and not training.diverged:
            training.clock.train_seconds += time.perf_counter() - started
            save_checkpoint(training, checkpoints)
            started = last_checkpoint = time.perf_counter()
    training.clock.train_seconds += time.perf_counter() - started
    return training


def take_batch(training: Training) -> bool:
    """One batch: forward, backward, and the engine's step. False when topology was changed in place of the step."""
    run, sparse, number = training.run, training.sparse, training.ledger.batches
    for group in training.optimizer.param_groups:
        group["lr"] = learning_rate_at(sparse.steps, run)
    if training.chain is None:
        loss, batch = _learn(training, number)
    else:
        loss, batch = training.chain(*training.batches.stored(number)), None
    if sparse.awaits_first_batch:
        training.ledger.charge_first_mask(sparse.method)
    else:
        training.ledger.charge(sparse.nonzeros, sparse.gradient_nonzeros)
    stepped = sparse.step(run.protocol.clip_norm, batch)
    training.loss_sum += loss
    training.loss_count += 1
    return stepped


def _learn(training: Training, number: int) -> tuple[Tensor, Batch]:
    """Loss and gradients of batch ``number`` by autograd, and the batch."""
    inputs, labels = training.batches[number]
    training.optimizer.zero_grad(set_to_none=True)

    def loss_of(outputs: Tensor) -> Tensor:
        smoothing = training.run.protocol.label_smoothing
        return functional.cross_entropy(outputs.flatten(0, -2), labels.flatten(), label_smoothing=smoothing)

    state = training.state if training.batches.continues(number) else None
    outputs, training.state = read(training.model, inputs, state, training.run.protocol.precision)
    loss = loss_of(outputs)
    loss.backward()
    return loss.detach(), Batch(training.model, inputs, loss_of)


def read(
    model: nn.Module, inputs: Tensor, state: Tensor | None, precision: str = "float32"
) -> tuple[Tensor, Tensor | None]:
    """The model's outputs, and the state that ``inputs`` leave it in.

    A network with a method ``continued(inputs, state)`` goes on from ``state``, None being its first; others have none.
    """
    if precision == "bf16":
        with torch.autocast(inputs.device.type, torch.bfloat16):
            outputs, state = read(model, inputs, state)
        return outputs.float(), state
    return model.continued(inputs, state) if hasattr(model, "continued") else (model(inputs), None)


def add_point(training: Training) -> None:
    """Evaluate, append to the curve, and notice divergence (a training or test loss that is not finite)."""
    started = time.perf_counter()
    dataset = training.batches.dataset
    correct, total, test_loss = evaluate(training.model, dataset, training.run.protocol.precision)
    train_loss = float(training.loss_sum / training.loss_count)
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


@torch.no_grad()
def evaluate(model: nn.Module, dataset: DataSet | TextSet, precision: str = "float32") -> tuple[int, int, float]:
    """Correct predictions, predictions, and mean cross-entropy in nats on the test set; sums first, one division.

    A prediction is made for each image, or for each character of a text but its first.
    """
    was_training = model.training
    model.eval()
    correct, total = torch.zeros(2, dtype=torch.int64, device=dataset.device)
    loss = torch.zeros((), dtype=torch.float64, device=dataset.device)
    state = None
    for inputs, labels in evaluation_batches(dataset):
        outputs, state = read(model, inputs, state, precision)
        logits, labels = outputs.flatten(0, -2), labels.flatten()
        correct += (logits.argmax(1) == labels).sum()
        total += (labels != NOT_JUDGED).sum()
        loss += functional.cross_entropy(logits, labels, reduction="sum", ignore_index=NOT_JUDGED)
    model.train(was_training)
    predictions = int(total)
    return int(correct), predictions, float(loss) / predictions


def save_checkpoint(training: Training, checkpoints: Path) -> None:
    """Write a checkpoint and note the time that it took."""
    started = time.perf_counter()
    checkpoint.save(checkpoints, training.ledger.batches, training.state_dict(), training.run.digest)
    training.clock.checkpoint_seconds += time.perf_counter() - started


def prepare(
    spec: Spec,
    dataset: DataSet | TextSet,
    origin: Origin | None = None,
) -> Training:
    """Build the run's network, optimizer and engine on the data set's device, ready to train from ``origin``.

    Raises ValueError for samples of another shape than those that the specification's costs are for.
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
        # The sparse kernels take no bfloat16; asked for by name, they are refused where a protocol is read.
        execution="masked" if protocol.precision == "bf16" else protocol.execution,
    )
    torch.manual_seed(seeds.noise)
    return Training(
        spec=spec,
        model=model,
        optimizer=optimizer,
        sparse=sparse,
        batches=training_batches(dataset, protocol, seeds),
        ledger=TrainingLedger(spec.network, protocol.batch_size),
        loss_sum=torch.zeros((), dtype=torch.float64, device=device),
        chain=sparse.gradient_of_chain(protocol.label_smoothing),
    )


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
