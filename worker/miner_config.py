"""How a miner is run, and what keeps it from running."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eth_account.signers.local import LocalAccount

from pot_chain.protocol.addresses import Address
from pot_chain.protocol.errors import PotError


class TaskUnavailable(PotError):
    """The task cannot be mined: it does not exist, has ended, or is full."""


class NoRight(PotError):
    """The account is no delegate of the miner that it is to act for."""


@dataclass(frozen=True)
class MinerConfig:
    """How a miner is run.

    Attributes:
        account: unlocked; earns the rewards unless it is a delegate.
        state_dir: holds the journal of submissions; losing it loses the round that is open.
        delegate_of: miner that the account is a delegate of, and that earns the rewards; None: the account itself.
        misbehave: name of an attack of ``worker.poison``: a tool of demonstrations and tests.
        misbehave_rounds: first and last round of the attack.
        keep_seconds: how long the gradient of a final round stays pinned, the evidence window.
    """

    rpc_url: str
    ipfs_url: str
    deployment: Path
    account: LocalAccount
    state_dir: Path
    task_id: int
    delegate_of: Address | None = None
    misbehave: str | None = None
    misbehave_rounds: tuple[int, int] | None = None
    keep_seconds: int = 7 * 86_400
