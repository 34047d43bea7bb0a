"""The task spec: what the owner asks for, as a document whose digest stands on chain."""

from __future__ import annotations

import tomllib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_serializer, model_validator

from pot_chain.protocol import canonical
from pot_chain.protocol.addresses import ZERO_ADDRESS, Address, Digest, parse_address
from pot_chain.protocol.errors import PotError, ProtocolError
from pot_chain.protocol.outcome import loss_units
from pot_chain.protocol.rewards import BASIS_POINTS, RewardRule
from pot_chain.protocol.units import parse_amount, parse_duration

MAX_SPEC_BYTES = 65_536
MAX_MINERS = 128
"""Members of a round: a proposal names each of them with its seal, its reveal and its reward, and must fit the wire
(``round.MAX_PROPOSAL_BYTES``) even if many are rejected."""


MAX_STOP_LOSS = 1e8
"""Greatest loss of a stop-loss: the contract keeps millionths in 48 bits."""


class InvalidSpec(ProtocolError):
    """A task spec that breaks a rule; the message names the field."""


def _explained(parse: Any) -> BeforeValidator:
    """A pydantic validator out of a parser that raises PotError."""

    def validate(value: object) -> object:
        try:
            return parse(value)
        except PotError as error:
            raise ValueError(f"{error.message}" + (f" ({error.hint})" if error.hint else "")) from error

    return BeforeValidator(validate)


def _parse_wei(value: object) -> int:
    amount = parse_amount(value)
    if amount == 0:
        raise ProtocolError("an amount above zero is needed")
    return amount


def _parse_share(value: object) -> int:
    """Basis points from a fraction of 1 (float) or an integer of basis points."""
    if isinstance(value, float):
        if not 0 <= value <= 1:
            raise ProtocolError(f"a share is a part from 0 to 1, got {value}")
        return round(value * BASIS_POINTS)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ProtocolError(f"not a share: {value!r}", "write a fraction such as 0.2")


def _parse_token(value: object) -> Address:
    return ZERO_ADDRESS if value == "native" else parse_address(value)


Wei = Annotated[int, _explained(_parse_wei)]
Seconds = Annotated[int, _explained(parse_duration), Field(ge=1, le=365 * 86400)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=False)


class ModelSpec(_Section):
    """A registered model family and its parameters; the family validates them."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9_-]*$")
    params: dict[str, Any] = Field(default_factory=dict)


class DataSpec(_Section):
    """Where the samples are: a built-in ``source`` in a draft, the dataset ``manifest``'s CID once pinned."""

    source: str | None = Field(default=None, max_length=64)
    manifest: str | None = Field(default=None, max_length=128)

    @model_validator(mode="after")
    def _one_of(self) -> DataSpec:
        if (self.source is None) == (self.manifest is None):
            raise ValueError(
                "give either data.source (a built-in dataset) or data.manifest (a CID from `pot data add`)"
            )
        return self


class TrainingSpec(_Section):
    """How a round trains. ``sync-sgd``: theta(t+1) = theta(t) - learning_rate * mean of the members' gradients."""

    mode: Literal["sync-sgd"] = "sync-sgd"
    rounds: int = Field(ge=1, le=1_000_000)
    samples_per_miner: int = Field(ge=1, le=1_000_000)
    learning_rate: float = Field(gt=0, le=1000)
    seed: int = Field(default=0, ge=0, lt=1 << 63)


class VerificationSpec(_Section):
    """How the work is checked.

    Attributes:
        audit_rate: part of the gradients that each validator re-executes at random (at least one).
        tolerance: greatest relative L2 distance between a gradient and its re-execution.
    """

    audit_rate: float = Field(default=0.25, gt=0, le=1)
    tolerance: float = Field(default=1e-4, gt=0, le=0.1)


class MinersSpec(_Section):
    """How many miners may take part; the task starts by itself with ``min``."""

    min: int = Field(default=1, ge=1, le=MAX_MINERS)
    max: int = Field(default=64, ge=1, le=MAX_MINERS)

    @model_validator(mode="after")
    def _ordered(self) -> MinersSpec:
        if self.max < self.min:
            raise ValueError(f"miners.max ({self.max}) must not be below miners.min ({self.min})")
        return self


class RewardsSpec(_Section):
    """What the owner pays: ``budget`` over all rounds, in wei or token units."""

    budget: Wei | None = None
    token: Annotated[Address, _explained(_parse_token)] = ZERO_ADDRESS
    validator_share: Annotated[int, _explained(_parse_share), Field(ge=0, le=BASIS_POINTS)] = 2_000

    @field_serializer("budget")
    def _budget_text(self, value: int | None) -> str | None:
        return None if value is None else str(value)


class StopLossSpec(_Section):
    """When training that goes wrong ends early.

    Attributes:
        loss: mean training loss above which a final round ends the task, to the millionth.
        after: final rounds from which the loss is watched.
    """

    loss: float = Field(ge=0, le=MAX_STOP_LOSS)
    after: int = Field(default=1, ge=1, le=1_000_000)

    @property
    def units(self) -> int:
        """``loss`` in millionths, as the contract takes it."""
        return loss_units(self.loss)


class TimingSpec(_Section):
    """Windows of the task and its rounds, in seconds of the chain's clock."""

    start_window: Seconds = 3600
    commit_window: Seconds = 120
    reveal_window: Seconds = 30
    finalize_window: Seconds = 120
    max_skips: int = Field(default=5, ge=0, le=1_000_000)


class TaskSpec(_Section):
    """A training task.

    Example (TOML)::

        name = "digits"
        [model]
        name = "mlp"
        [model.params]
        inputs = 64
        hidden = [64]
        classes = 10
        [data]
        source = "digits"
        [training]
        rounds = 20
        samples_per_miner = 64
        learning_rate = 0.5
        [rewards]
        budget = "1eth"
    """

    version: Literal[1] = 1
    name: str = Field(min_length=1, max_length=80)
    model: ModelSpec
    data: DataSpec
    training: TrainingSpec
    verification: VerificationSpec = VerificationSpec()
    miners: MinersSpec = MinersSpec()
    rewards: RewardsSpec = RewardsSpec()
    timing: TimingSpec = TimingSpec()
    stop_loss: StopLossSpec | None = None

    @classmethod
    def parse(cls, value: object) -> TaskSpec:
        """Validate a parsed TOML or JSON document.

        Raises:
            InvalidSpec: the message names each wrong field and what was expected.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise InvalidSpec(_describe(error), "see `pot task create --help` for an example spec") from error

    @classmethod
    def from_toml(cls, text: str) -> TaskSpec:
        """Parse and validate TOML."""
        try:
            return cls.parse(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise InvalidSpec(
                f"the spec is not valid TOML: {error}", "check the line that the message names"
            ) from error

    @classmethod
    def from_bytes(cls, data: bytes) -> TaskSpec:
        """Parse the canonical JSON of a pinned spec."""
        return cls.parse(canonical.decode(data, max_bytes=MAX_SPEC_BYTES))

    def to_bytes(self) -> bytes:
        """Canonical JSON; ``digest`` is what the chain stores."""
        return canonical.encode(self.model_dump(mode="json"))

    @property
    def digest(self) -> Digest:
        """sha2-256 of ``to_bytes()``."""
        return canonical.digest(self.to_bytes())

    @property
    def reward_per_round(self) -> int:
        """Pool of one round: the budget divided by the rounds, rounded down; the rest goes back to the owner."""
        if self.rewards.budget is None:
            raise InvalidSpec("rewards.budget is missing", 'add budget = "1eth" under [rewards] or pass --budget')
        return self.rewards.budget // self.training.rounds

    @property
    def reward_rule(self) -> RewardRule:
        """How a round's pool is split."""
        return RewardRule(self.reward_per_round, self.rewards.validator_share)

    def with_data(self, manifest: str) -> TaskSpec:
        """The spec with its data pinned under the CID ``manifest``."""
        return self.model_copy(update={"data": DataSpec(manifest=manifest)})

    def with_budget(self, budget: int) -> TaskSpec:
        """The spec with another budget (wei or token units)."""
        return TaskSpec.parse(self.model_dump() | {"rewards": self.rewards.model_dump() | {"budget": budget}})


def _describe(error: ValidationError) -> str:
    """One line for all faults: ``training.rounds: input should be greater than or equal to 1 (got 0)``."""
    faults = []
    for fault in error.errors():
        field = ".".join(str(part) for part in fault["loc"]) or "the document"
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = "unknown field"
        elif fault["type"] == "missing":
            message = "missing"
        elif fault["type"] != "value_error":
            message = f"{message[0].lower()}{message[1:]} (got {_short(fault['input'])})"
        faults.append(f"{field}: {message}")
    return "invalid task spec: " + "; ".join(faults)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
