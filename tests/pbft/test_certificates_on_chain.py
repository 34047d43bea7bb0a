"""Certificates of simulated decisions before the real contract: sound ones pass, mutated ones do not.

The simulated validators vote with real keys under the domain of a ProofOfTraining that is deployed on Anvil, and are
registered there as its validators, so that ``NodeRegistry.verifyCertificate`` judges exactly what a replica decided by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import cast

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import keccak

from pot_chain.chain.anvil import AnvilConfig, AnvilProcess, fund
from pot_chain.chain.deploy import deploy
from pot_chain.chain.errors import ContractReverted
from pot_chain.chain.registry import Registry
from pot_chain.chain.sender import SenderPolicy, TransactionSender
from pot_chain.pbft.messages import Decided
from pot_chain.pbft.sim.crypto import RealKeys
from pot_chain.pbft.sim.scenario import draw
from pot_chain.pbft.sim.world import World
from pot_chain.protocol.eip712 import Domain, key_ownership_digest, signing_digest
from pot_chain.protocol.quorum import quorum
from pot_chain.protocol.signing import compact, sign_digest
from pot_chain.protocol.votes import Phase, Vote
from tests.parameters import PARAMETERS

ETHER = 10**18
EPOCH = 1
ENTRY = 66
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
WANTED = 8
"""Certificates to judge for each size."""


@dataclass(frozen=True)
class Court:
    """A deployed registry whose first epoch are the simulated validators, and what they decided."""

    size: int
    registry: Registry
    domain: Domain
    keys: RealKeys
    decisions: tuple[Decided, ...]

    def digest(self, vote: Vote, domain: Domain | None = None) -> bytes:
        return signing_digest(domain or self.domain, vote)

    def sign(self, signer: int, vote: Vote) -> bytes:
        return compact(self.keys.signer(signer).sign(vote))

    def certificate(self, signers: list[int], vote: Vote) -> bytes:
        return b"".join(signer.to_bytes(2, "big") + self.sign(signer, vote) for signer in signers)


@pytest.fixture(scope="module")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnvilProcess]:
    with AnvilProcess.start(AnvilConfig(tmp_path_factory.mktemp("anvil") / "anvil.log")) as chain:
        yield chain


@pytest.fixture(scope="module", params=[4, 7], ids=["n=4", "n=7"])
def court(request: pytest.FixtureRequest, anvil: AnvilProcess) -> Court:
    size = cast(int, request.param)
    web3 = anvil.web3()

    def sender_of(account: LocalAccount) -> TransactionSender:
        fund(web3, account.address, 100 * ETHER)
        return TransactionSender(web3, account, SenderPolicy(timeout=60.0, poll=0.01, max_poll=0.05))

    owner = sender_of(cast(LocalAccount, Account.create()))
    deployment = deploy(owner, PARAMETERS, salt=keccak(text=f"court of {size}"))
    contracts = deployment.bind(web3)
    registry = contracts.registry
    domain = Domain(deployment.chain_id, contracts.training.address)
    keys = RealKeys(size, domain)
    register(registry, keys, size, Domain(deployment.chain_id, registry.address, name="NodeRegistry"), sender_of)
    owner.send(registry.advance_epoch())
    assert registry.epoch_validators(EPOCH) == tuple(keys.address(node) for node in range(size))
    return Court(size, registry, domain, keys, simulate(keys, size))


def register(
    registry: Registry,
    keys: RealKeys,
    size: int,
    domain: Domain,
    sender_of: Callable[[LocalAccount], TransactionSender],
) -> None:
    """Each simulated validator becomes a validator on chain, its vote key its operator, too."""
    for node in range(size):
        key = keys.private_key(node)
        account = cast(LocalAccount, Account.from_key(key))
        possession = sign_digest(key, key_ownership_digest(domain, account.address))
        stake = PARAMETERS.registry.min_validator_stake
        call = registry.register_validator(account.address, possession, f"http://127.0.0.1:{1000 + node}", stake)
        sender_of(account).send(call)


def simulate(keys: RealKeys, size: int) -> tuple[Decided, ...]:
    """Decisions of hostile worlds with one epoch, some of them in views above 0, liars included."""
    decisions: list[Decided] = []
    for seed in range(400):
        scenario = draw(seed, sizes=(size,))
        if len(scenario.epochs) == 1 and scenario.pool == size:
            world = World(replace(scenario, real_signatures=True), keys=keys)
            result = world.run()
            assert result.violation is None
            decisions += result.certificates
        late = sum(decided.certificate.vote.view > 0 for decided in decisions)
        if len(decisions) >= WANTED and late >= 2:
            break
    return tuple(sorted(decisions, key=lambda decided: -decided.certificate.vote.view)[:WANTED])


def test_every_certificate_of_the_simulator_passes(court: Court) -> None:
    assert len(court.decisions) == WANTED
    views = [decided.certificate.vote.view for decided in court.decisions]
    assert sum(view > 0 for view in views) >= 2
    for decided in court.decisions:
        certificate = decided.certificate
        signers = court.registry.verify_certificate(
            EPOCH, court.digest(certificate.vote), certificate.to_contract_signatures()
        )
        assert signers == tuple(signer for signer, _ in certificate.signatures)
        assert len(signers) == quorum(court.size)


@dataclass
class Case:
    """A certificate as bytes, what it is said to be about, and where: a mutation changes one of them."""

    court: Court
    vote: Vote
    entries: list[bytes]
    epoch: int = EPOCH
    domain: Domain | None = None
    rest: bytes = b""

    @property
    def signers(self) -> list[int]:
        return [int.from_bytes(entry[:2], "big") for entry in self.entries]

    def absent(self) -> int:
        """A validator that has not signed."""
        return min(set(range(self.court.size)) - set(self.signers))

    def resign(self, vote: Vote) -> None:
        """The same signers sign another vote; what is claimed stays."""
        self.entries = [n.to_bytes(2, "big") + self.court.sign(n, vote) for n in self.signers]

    def change(self, at: int, piece: bytes, entry: int = -1) -> None:
        """Overwrite a piece of an entry."""
        old = self.entries[entry]
        self.entries[entry] = old[:at] + piece + old[at + len(piece) :]

    def verdict(self) -> tuple[int, ...]:
        signatures = b"".join(self.entries) + self.rest
        return self.court.registry.verify_certificate(self.epoch, self.court.digest(self.vote, self.domain), signatures)


def flip(case: Case, at: int, bit: int) -> None:
    case.change(at, bytes([case.entries[-1][at] ^ bit]))


def truncate(case: Case) -> None:
    case.entries[-1] = case.entries[-1][:-1]


def append_byte(case: Case) -> None:
    case.rest = b"\0"


def empty(case: Case) -> None:
    case.entries = []


def one_too_few(case: Case) -> None:
    case.entries.pop()


def duplicate_signer(case: Case) -> None:
    case.entries[1] = case.entries[0]


def duplicate_behind_a_quorum(case: Case) -> None:
    case.entries.append(case.entries[-1])


def reversed_order(case: Case) -> None:
    case.entries.reverse()


def swapped_neighbours(case: Case) -> None:
    case.entries[0], case.entries[1] = case.entries[1], case.entries[0]


def index_at_size(case: Case) -> None:
    case.change(0, case.court.size.to_bytes(2, "big"))


def index_at_most(case: Case) -> None:
    case.change(0, b"\xff\xff")


def in_the_name_of_another(case: Case) -> None:
    """A signer's own vote under the index of one that has not signed."""
    absent = case.absent()
    case.entries[0] = absent.to_bytes(2, "big") + case.entries[0][2:]
    case.entries.sort()


def flipped_r(case: Case) -> None:
    flip(case, 10, 1)


def flipped_s(case: Case) -> None:
    flip(case, 60, 1)


def flipped_parity(case: Case) -> None:
    flip(case, 34, 0x80)


def high_s_twin(case: Case) -> None:
    """The other signature of the same vote: n - s with the other parity, as far as 255 bits hold it."""
    vs = int.from_bytes(case.entries[-1][34:], "big")
    parity, s = vs >> 255, vs & ((1 << 255) - 1)
    twin = (ORDER - s) & ((1 << 255) - 1) | (1 - parity) << 255
    case.change(34, twin.to_bytes(32, "big"))


def s_above_half(case: Case) -> None:
    case.change(34, ((1 << 255) - 1).to_bytes(32, "big"))


def zero_r(case: Case) -> None:
    case.change(2, bytes(32))


def zero_s(case: Case) -> None:
    case.change(34, bytes(32))


def zeroes(case: Case) -> None:
    case.entries = [number.to_bytes(2, "big") + bytes(64) for number in case.signers]


def noise(case: Case) -> None:
    case.entries = [number.to_bytes(2, "big") + keccak(b"%d" % number) * 2 for number in case.signers]


def strangers_key(case: Case) -> None:
    signature = compact(sign_digest(keccak(b"stranger"), case.court.digest(case.vote)))
    case.change(2, signature)


def one_of_another_view(case: Case) -> None:
    """A mixed-view certificate: all but one sign this view."""
    number = case.signers[-1]
    case.change(2, case.court.sign(number, replace(case.vote, view=case.vote.view + 1)))


def prepares_for_commits(case: Case) -> None:
    case.resign(replace(case.vote, phase=Phase.PREPARE))


def proposals_for_commits(case: Case) -> None:
    case.resign(replace(case.vote, phase=Phase.PROPOSE))


def another_view(case: Case) -> None:
    case.vote = replace(case.vote, view=case.vote.view + 1)


def another_round(case: Case) -> None:
    case.vote = replace(case.vote, slot=replace(case.vote.slot, round=case.vote.slot.round + 1))


def another_task(case: Case) -> None:
    case.vote = replace(case.vote, slot=replace(case.vote.slot, task_id=case.vote.slot.task_id + 1))


def another_epoch_signed(case: Case) -> None:
    case.vote = replace(case.vote, slot=replace(case.vote.slot, epoch=EPOCH + 1))


def another_outcome(case: Case) -> None:
    case.vote = replace(case.vote, digest=keccak(case.vote.digest))


def another_contract(case: Case) -> None:
    case.domain = replace(case.court.domain, contract="0x" + "11" * 20)


def another_chain(case: Case) -> None:
    case.domain = replace(case.court.domain, chain_id=1)


def an_epoch_that_is_none(case: Case) -> None:
    case.epoch = EPOCH + 1


MUTATIONS: dict[Callable[[Case], None], str] = {
    truncate: "InvalidCertificateLength",
    append_byte: "InvalidCertificateLength",
    empty: "QuorumNotReached",
    one_too_few: "QuorumNotReached",
    duplicate_signer: "SignersNotIncreasing",
    duplicate_behind_a_quorum: "SignersNotIncreasing",
    reversed_order: "SignersNotIncreasing",
    swapped_neighbours: "SignersNotIncreasing",
    index_at_size: "SignerOutOfRange",
    index_at_most: "SignerOutOfRange",
    in_the_name_of_another: "InvalidSignature",
    flipped_r: "InvalidSignature",
    flipped_s: "InvalidSignature",
    flipped_parity: "InvalidSignature",
    high_s_twin: "InvalidSignature",
    s_above_half: "InvalidSignature",
    zero_r: "InvalidSignature",
    zero_s: "InvalidSignature",
    zeroes: "InvalidSignature",
    noise: "InvalidSignature",
    strangers_key: "InvalidSignature",
    one_of_another_view: "InvalidSignature",
    prepares_for_commits: "InvalidSignature",
    proposals_for_commits: "InvalidSignature",
    another_view: "InvalidSignature",
    another_round: "InvalidSignature",
    another_task: "InvalidSignature",
    another_epoch_signed: "InvalidSignature",
    another_outcome: "InvalidSignature",
    another_contract: "InvalidSignature",
    another_chain: "InvalidSignature",
    an_epoch_that_is_none: "UnknownEpoch",
}


def case_of(court: Court, decided: Decided) -> Case:
    signatures = decided.certificate.to_contract_signatures()
    return Case(
        court, decided.certificate.vote, [signatures[at : at + ENTRY] for at in range(0, len(signatures), ENTRY)]
    )


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda mutate: mutate.__name__)
def test_no_mutated_certificate_passes(court: Court, mutate: Callable[[Case], None]) -> None:
    for decided in court.decisions:
        case = case_of(court, decided)
        assert len(case.verdict()) == quorum(court.size)  # sound until it is mutated
        mutate(case)
        with pytest.raises(ContractReverted) as caught:
            case.verdict()
        assert caught.value.name == MUTATIONS[mutate]


def test_more_than_a_quorum_passes_too(court: Court) -> None:
    """Not a mutation: everybody may sign. The contract counts, the replica sends exactly Q."""
    vote = court.decisions[0].certificate.vote
    everybody = list(range(court.size))
    signers = court.registry.verify_certificate(EPOCH, court.digest(vote), court.certificate(everybody, vote))
    assert signers == tuple(everybody)
