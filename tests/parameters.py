"""What the tests deploy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from pot_chain.chain.deploy import NetworkParameters
from pot_chain.chain.structs import RegistryConfig

DAY: Final = 86_400

PARAMETERS: Final = NetworkParameters(
    registry=RegistryConfig(
        min_miner_stake=10**16,
        min_validator_stake=10**18,
        unbonding_period=37 * DAY,
        epoch_length=0,
        epoch_lifetime=30 * DAY,
        evidence_window=7 * DAY,
    ),
    answer_window=3600,
    appeal_window=3600,
    deposit=10**16,
)


def parameters(**registry: Any) -> NetworkParameters:
    """``PARAMETERS`` with other fields of the registry."""
    return replace(PARAMETERS, registry=replace(PARAMETERS.registry, **registry))
