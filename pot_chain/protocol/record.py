"""The round record: all that anybody needs to re-derive a round's outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pot_chain.protocol import canonical
from pot_chain.protocol.addresses import Address, Digest, hex_digest, parse_address, parse_digest
from pot_chain.protocol.errors import ProtocolError
from pot_chain.protocol.outcome import parse_uint
from pot_chain.protocol.signing import SIGNATURE_BYTES

MAX_RECORD_BYTES = 262_144
"""A record is one raw block."""

REASONS = frozenset(
    {
        "unavailable",  # the bytes could not be fetched
        "malformed",  # not a submission manifest or not a safetensors file
        "too_large",
        "wrong_names",  # other tensors than the model's
        "wrong_shape",
        "wrong_dtype",
        "not_finite",  # NaN or infinity
        "wrong_round",  # made for another task, round, miner, checkpoint or number of samples
        "duplicate",  # another miner's gradient, and not what its own samples give
        "gradient_mismatch",  # re-execution gives another gradient
        "loss_mismatch",  # re-execution gives another loss
        "diverged",  # the assigned samples give no finite gradient
    }
)
"""Why a gradient is rejected."""


@dataclass(frozen=True, slots=True)
class Reveal:
    """A miner opens its seal. ``cid_digest`` is the digest of the submission manifest."""

    miner: Address
    cid_digest: Digest
    salt: Digest

    def to_json(self) -> dict[str, str]:
        """JSON object, also the body of ``POST /reveal``."""
        return {"miner": self.miner, "cid_digest": hex_digest(self.cid_digest), "salt": hex_digest(self.salt)}

    @classmethod
    def from_json(cls, value: object) -> Reveal:
        """Inverse of ``to_json``."""
        fields = exact_fields(value, "miner", "cid_digest", "salt")
        return cls(parse_address(fields["miner"]), parse_digest(fields["cid_digest"]), parse_digest(fields["salt"]))


@dataclass(frozen=True, slots=True)
class SignedReport:
    """A validator's verdict report: which revealed gradients it rejects and why, signed by its vote key."""

    validator: Address
    rejected: Mapping[Address, str]
    signature: bytes

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return {
            "validator": self.validator,
            "rejected": dict(self.rejected),
            "signature": "0x" + self.signature.hex(),
        }

    @classmethod
    def from_json(cls, value: object) -> SignedReport:
        """Inverse of ``to_json``."""
        fields = exact_fields(value, "validator", "rejected", "signature")
        signature = fields["signature"]
        if (
            not isinstance(signature, str)
            or len(signature) != 2 + 2 * SIGNATURE_BYTES
            or not signature.startswith("0x")
        ):
            raise ProtocolError("a report's signature is 0x and 130 hex digits")
        try:
            raw = bytes.fromhex(signature[2:])
        except ValueError as error:
            raise ProtocolError("a report's signature is 0x and 130 hex digits") from error
        if len(raw) != SIGNATURE_BYTES:  # fromhex skips white space
            raise ProtocolError("a report's signature is 0x and 130 hex digits")
        return cls(parse_address(fields["validator"]), parse_rejections(fields["rejected"]), raw)


def report_digest(reveals: Mapping[Address, Reveal], rejected: Mapping[Address, str]) -> Digest:
    """What a verdict report commits to: the submissions seen and the rejections among them."""
    return canonical.digest(
        canonical.encode(
            {
                "submissions": {miner: hex_digest(reveal.cid_digest) for miner, reveal in reveals.items()},
                "rejected": dict(rejected),
            }
        )
    )


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """A round in full.

    Attributes:
        members: the roster, canonical order.
        commits: (miner, seal) in the order of the chain.
        reveals: opened seals by miner.
        rejected: reasons by miner; a revealed miner that is not here is accepted.
        reports: verdict reports, by validator in canonical order.
        audit_seed: what decided who was re-executed by whom.
        train_loss: mean of the accepted miners' reported losses.
        earned: this round's rewards by account (wei or token units).
        cumulative: the task's reward leaves after the round.
    """

    task_id: int
    round: int
    epoch: int
    seed: Digest
    members: tuple[Address, ...]
    commits: tuple[tuple[Address, Digest], ...]
    reveals: Mapping[Address, Reveal]
    rejected: Mapping[Address, str]
    reports: tuple[SignedReport, ...]
    audit_seed: Digest
    train_loss: float
    earned: Mapping[Address, int]
    cumulative: Mapping[Address, int]

    @property
    def accepted(self) -> tuple[Address, ...]:
        """Miners in the aggregate, canonical order."""
        return tuple(miner for miner in self.members if miner in self.reveals and miner not in self.rejected)

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical.encode(
            {
                "kind": "round",
                "task": str(self.task_id),
                "round": self.round,
                "epoch": self.epoch,
                "seed": hex_digest(self.seed),
                "members": list(self.members),
                "commits": [[miner, hex_digest(seal)] for miner, seal in self.commits],
                "reveals": [reveal.to_json() for reveal in self.reveals.values()],
                "rejected": dict(self.rejected),
                "reports": [report.to_json() for report in self.reports],
                "audit_seed": hex_digest(self.audit_seed),
                "train_loss": self.train_loss,
                "earned": {account: str(amount) for account, amount in self.earned.items()},
                "cumulative": {account: str(amount) for account, amount in self.cumulative.items()},
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> RoundRecord:
        """Parse a record fetched from storage or proposed by a peer.

        Raises:
            ProtocolError: not canonical, or a field is missing, unknown or malformed.
        """
        fields = exact_fields(
            canonical.decode(data, max_bytes=MAX_RECORD_BYTES),
            *("kind", "task", "round", "epoch", "seed", "members", "commits", "reveals", "rejected", "reports"),
            *("audit_seed", "train_loss", "earned", "cumulative"),
        )
        if fields["kind"] != "round" or not isinstance(fields["train_loss"], float):
            raise ProtocolError("not a round record")
        reveals = [Reveal.from_json(reveal) for reveal in _list(fields["reveals"])]
        commits = [_list(pair) for pair in _list(fields["commits"])]
        if len({reveal.miner for reveal in reveals}) != len(reveals) or any(len(pair) != 2 for pair in commits):
            raise ProtocolError("a round record names each miner once")
        record = cls(
            task_id=parse_uint(fields["task"]),
            round=small_uint(fields["round"]),
            epoch=small_uint(fields["epoch"]),
            seed=parse_digest(fields["seed"]),
            members=tuple(parse_address(member) for member in _list(fields["members"])),
            commits=tuple((parse_address(miner), parse_digest(seal)) for miner, seal in commits),
            reveals={reveal.miner: reveal for reveal in reveals},
            rejected=parse_rejections(fields["rejected"]),
            reports=tuple(SignedReport.from_json(report) for report in _list(fields["reports"])),
            audit_seed=parse_digest(fields["audit_seed"]),
            train_loss=fields["train_loss"],
            earned=_amounts(fields["earned"]),
            cumulative=_amounts(fields["cumulative"]),
        )
        if record.to_bytes() != data:
            raise ProtocolError("a round record must be spelled canonically")
        return record


def exact_fields(value: object, *names: str) -> dict[str, Any]:
    """``value`` as an object with exactly the fields ``names``."""
    if not isinstance(value, dict) or set(value) != set(names):
        raise ProtocolError(f"expected an object with exactly the fields {', '.join(sorted(names))}")
    return value


def parse_rejections(value: object) -> dict[Address, str]:
    """miner -> reason; unknown reasons are refused."""
    if not isinstance(value, dict) or any(
        not isinstance(reason, str) or reason not in REASONS for reason in value.values()
    ):
        raise ProtocolError(f"rejections map miners to one of {', '.join(sorted(REASONS))}")
    return {parse_address(miner): reason for miner, reason in value.items()}


def _amounts(value: object) -> dict[Address, int]:
    if not isinstance(value, dict):
        raise ProtocolError("amounts are an object of account and decimal string")
    return {parse_address(account): parse_uint(amount) for account, amount in value.items()}


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ProtocolError("expected a list")
    return value


def small_uint(value: object) -> int:
    """An integer of 0 to 2^53 - 1."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 53:
        raise ProtocolError("expected a small non-negative integer")
    return value
