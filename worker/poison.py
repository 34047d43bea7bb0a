"""Named attacks on training, for demonstrations and tests only: what a dishonest miner could hand in.

``pot demo`` runs one of its miners with such an attack to show that it is found; no honest program imports this module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pot_chain.protocol.errors import PotError
from worker.tensors import Tensors

Poisoned = dict[str, NDArray[np.float32]]


class AttackError(PotError):
    """An attack that does not exist or lacks what it needs."""


@dataclass(frozen=True)
class Context:
    """What an attacker knows.

    Attributes:
        seed: of the attack's randomness, so that a demonstration can be repeated.
        others: gradients of other miners, for the attack that copies one.
    """

    seed: int = 0
    others: Sequence[Tensors] = field(default_factory=tuple)


def _true_labels(labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    return labels


@dataclass(frozen=True)
class Attack:
    """``on_labels`` changes the labels (int64 ``[n]``, number of classes) before training, ``on_gradient`` what came
    out of it.
    """

    name: str
    description: str
    on_gradient: Callable[[Tensors, Context], Poisoned]
    on_labels: Callable[[NDArray[np.int64], int], NDArray[np.int64]] = _true_labels


def attack_names() -> list[str]:
    """Names of all attacks, sorted."""
    return sorted(_ATTACKS)


def attack(name: str) -> Attack:
    """The attack registered under ``name``.

    Raises:
        AttackError: there is none.
    """
    try:
        return _ATTACKS[name]
    except KeyError:
        raise AttackError(f"there is no attack {name!r}", f"attacks are: {', '.join(attack_names())}") from None


def _honest(gradient: Tensors, context: Context) -> Poisoned:
    return dict(gradient)


def _sign_flip(gradient: Tensors, context: Context) -> Poisoned:
    return {name: np.float32(-4) * value for name, value in gradient.items()}


def _scale(gradient: Tensors, context: Context) -> Poisoned:
    return {name: np.float32(100) * value for name, value in gradient.items()}


def _noise(gradient: Tensors, context: Context) -> Poisoned:
    """Gaussian with the standard deviation of each tensor, so that the norm gives nothing away."""
    generator = np.random.default_rng(context.seed)
    return {
        name: (generator.standard_normal(gradient[name].shape) * gradient[name].std()).astype(np.float32)
        for name in sorted(gradient)
    }


def _zero(gradient: Tensors, context: Context) -> Poisoned:
    return {name: np.zeros_like(value) for name, value in gradient.items()}


def _nan(gradient: Tensors, context: Context) -> Poisoned:
    poisoned = {name: value.copy() for name, value in gradient.items()}
    poisoned[min(poisoned)].reshape(-1)[0] = np.nan
    return poisoned


def _wrong_shape(gradient: Tensors, context: Context) -> Poisoned:
    victim = min(gradient)
    return {name: value.reshape(-1)[:-1].copy() if name == victim else value for name, value in gradient.items()}


def _copy(gradient: Tensors, context: Context) -> Poisoned:
    if not context.others:
        raise AttackError("there is no gradient of another miner to copy", "give the attack the gradients of others")
    return {name: value.copy() for name, value in context.others[0].items()}


def _flip_labels(labels: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    return classes - 1 - labels


_ATTACKS: dict[str, Attack] = {
    found.name: found
    for found in (
        Attack("sign_flip", "the gradient times -4: climbs the loss instead of descending", _sign_flip),
        Attack("scale", "the gradient times 100: makes the step far too long", _scale),
        Attack("noise", "Gaussian noise of the gradient's scale: work not done", _noise),
        Attack("zero", "all zeros: work not done", _zero),
        Attack("nan", "one element is not a number: destroys the model if it is averaged", _nan),
        Attack("wrong_shape", "one tensor lacks an element: crashes a careless reader", _wrong_shape),
        Attack("copy", "the gradient of another miner: work not done", _copy),
        Attack(
            "label_flip", "trains on the labels classes - 1 - y: teaches the model wrong answers", _honest, _flip_labels
        ),
    )
}
