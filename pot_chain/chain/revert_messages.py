"""A sentence and a hint for each error of our contracts.

Placeholders are the error's arguments, then the arguments of the call that was refused, by their Solidity names, and
``sender``; ``:time``, ``:amount``, ``:role`` and ``:state`` show a value as people read it. A test checks that every
error of the compiled contracts has its entry and that its placeholders exist.
"""

from __future__ import annotations

from typing import Final

_SPEC = "correct the task spec"
_RELAY = "nothing is lost: the validators settle it; if it lasts, compare their versions"
_BUG = "please report it with the transaction's data"

MESSAGES: Final[dict[str, tuple[str, str]]] = {
    # ---- registration and stake
    "AlreadyRegistered": (
        "{node} is already registered as a {role:role}",
        "an account has one role; withdraw its stake first, or use another account",
    ),
    "NotRegistered": ("{node} is not registered", "register it first: `pot miner start` and `pot validator start` do"),
    "NotValidator": ("{node} is not a validator", "only validators have an endpoint"),
    "NodeUnbonding": (
        "{node} is leaving; its stake is free from {withdrawableAt:time}",
        "withdraw the stake then, and register again",
    ),
    "StakeLocked": (
        "the stake of {node} is locked; the day of its release: {withdrawableAt:time}",
        "the day is set when unbonding starts; start it, and withdraw then",
    ),
    "StakeTooLow": ("a stake of {sent:amount} is below the minimum of {minimum:amount}", "stake more"),
    "NoValueSent": ("a stake cannot be raised by nothing", "send coins along"),
    "ZeroVoteKey": ("the zero address cannot be a vote key", "make a vote key"),
    "VoteKeyTaken": (
        "the vote key {voteKey} belongs to {operator}",
        "a vote key is used once and for ever by one operator: make a new one",
    ),
    "InvalidPossession": (
        "the proof for vote key {voteKey} was signed by {recovered}",
        "sign the operator's address with the vote key itself, for this chain and registry",
    ),
    "InvalidEndpointLength": ("an endpoint has 1 to {maximum} bytes, this one {length}", "give a shorter URL"),
    "ValidatorSetFull": (
        "there are {maximum} validators, the most possible; the lowest stake among them is {lowestStake:amount}",
        "stake more than that, or wait until one leaves",
    ),
    "TooFewValidators": (
        "an epoch needs {minimum} validators; {bonded} are registered",
        "register more validators first",
    ),
    "EpochNotOver": ("the current validator epoch lasts until {endsAt:time}", "try again then"),
    "UnknownEpoch": ("there is no validator epoch {epoch}", "see the current epoch in `pot status`"),
    "EpochExpired": (
        "the certificates of validator epoch {epoch} counted until {expiresAt:time}",
        "a validator of the network has to start a new epoch; `pot validator start` does",
    ),
    "EpochBlobCreationFailed": ("the validators' keys could not be stored", _BUG),
    # ---- parameters of a registry
    "UnbondingTooShort": (
        "an unbonding period of {unbondingPeriod} s is below epoch lifetime and evidence window together: {minimum} s",
        "raise it, or shorten one of the two",
    ),
    "EpochLifetimeTooShort": (
        "an epoch lifetime of {epochLifetime} s is too short for this epoch length: it needs {minimum} s",
        "raise the lifetime, or lower the epoch length",
    ),
    # ---- courts and delegates
    "NotCourt": ("{caller} is not the court of this role, {court} is", "only a court can take or hold a stake"),
    "NotDelegate": (
        "{delegate} is no delegate of {node}, or no longer",
        "`pot miner delegate authorize`, with the wallet of {node}, gives it the right",
    ),
    "NotDelegateOf": (
        "{caller} is no delegate of {miner}, or no longer",
        "`pot miner delegate authorize`, with the wallet of {miner}, gives it the right",
    ),
    "ExpiryInPast": ("a right that ends at {expiresAt:time} has ended already", "choose a later end"),
    "AllowanceExceeded": (
        "{amount:amount} is more than the delegate may draw: {allowance:amount}",
        "draw less, or have the node grant more",
    ),
    # ---- certificates
    "InvalidCertificateLength": ("a certificate of {length} bytes is no whole number of signatures", _RELAY),
    "QuorumNotReached": ("the certificate has {signatures} signatures, the quorum is {quorum}", _RELAY),
    "SignersNotIncreasing": ("the certificate lists signer {index} after {previous}", _RELAY),
    "SignerOutOfRange": ("the certificate names signer {index} of {size}", _RELAY),
    "InvalidSignature": ("signature {index} of the certificate is not by {expected}", _RELAY),
    # ---- BLS keys and certificates
    "BlsPrecompileFailed": (
        "the precompile {precompile} refused a key or signature, or is missing on this chain",
        "check the encoding (EIP-2537), and that the chain has the Prague rules",
    ),
    "InfiniteBlsKey": ("a BLS key, or a sum of keys, is the point at infinity", "make another key"),
    "InfiniteBlsSignature": ("the point at infinity is nobody's BLS signature", _RELAY),
    "InvalidBlsKeyLength": ("a BLS key has {expected} bytes, this one {length}", "encode it as EIP-2537 does"),
    "InvalidBlsSignatureLength": (
        "a BLS signature has {expected} bytes, this one {length}",
        "encode it as EIP-2537 does",
    ),
    "BlsKeyHeld": ("{operator} has a BLS key", "a registration has one; withdraw the stake and register anew"),
    "BlsKeyUsed": (
        "the BLS key with coordinate {coordinate}, or its negation, was registered before",
        "a BLS key is used once and for ever: make a new one",
    ),
    "InvalidBlsPossession": (
        "the proof of possession is not the BLS key's signature for {operator}",
        "sign the operator's address with the BLS key itself, for this chain and registry",
    ),
    "InvalidBlsCertificateLength": ("a certificate of this epoch has {expected} bytes, this one {length}", _RELAY),
    "BlsSetTooLarge": ("a BLS epoch has at most {maximum} validators, not {size}", _BUG),
    "AbsenteeOutOfRange": ("the absentees {absentees} do not all lie among {size} validators", _RELAY),
    "InvalidAggregateSignature": (
        "the aggregate signature over {digest} is not that of all but the absentees {absentees}",
        _RELAY,
    ),
    # ---- courts
    "NotRegistry": ("{sender} sent coins to a court, which takes them from the registry alone", "send no coins"),
    "NothingOwed": ("the court owes {account} nothing", "is the account right?"),
    "NoMinimumStake": ("a network cannot punish validators that stake nothing", "raise the least stake of a validator"),
    "EvidenceAlreadyCommitted": (
        "the commitment {commitment} was made already",
        "show the evidence when its block has come",
    ),
    "EvidenceNotCommitted": (
        "the sender has not committed to this evidence with this salt ({commitment})",
        "commit first; nobody can take the bounty then",
    ),
    "RevealTooEarly": ("the evidence can be shown from block {revealableFrom} on", "wait for that block"),
    "SameDigest": ("both statements are about {digest}: that is no offence", "compare the two"),
    "CommitNotHidden": ("the view change hides no commit", "an honest vote again in a later view is no offence"),
    "NotValidatorAccount": ("{account} is no validator, or no longer", "is the account that of its operator?"),
    "NotSigned": ("the vote key {voteKey} has not signed {digest}", "check the statement, its slot and its view"),
    "NotSignedByBlsKey": (
        "the BLS key of {operator} has not signed {digest}",
        "check the statement, its slot and its view",
    ),
    "NoBlsKey": ("{operator} has no BLS key", "show its ECDSA signature"),
    "NothingToSlash": ("nobody in this evidence has a stake left to take", "it may have been used already"),
    "InvalidWindow": (
        "a window of {window} s is zero, or too long for an evidence window of {evidenceWindow} s",
        "answers must fit the evidence window once, appeals twice",
    ),
    "NotMemberOf": ("miner {miner} was no member of round {round} of task {taskId}", "check task, round and miner"),
    "WrongCaseState": ("the case is in state {state}, which does not permit this", "see the events of the court"),
    "WrongRecord": ("the case is about the record {record}, not {given}", "name that record"),
    "AppealQuorumNotReached": (
        "{signers} validators uphold the fault, {quorum} are needed after an appeal",
        "collect more signatures",
    ),
    "WrongDeposit": ("the deposit is {deposit:amount}, and {sent:amount} were sent", "send exactly the deposit"),
    "TooLate": ("this was possible until {deadline:time}", ""),
    "TooEarly": ("this is possible after {deadline:time}", "try again then"),
    "NoSeal": (
        "miner {miner} has no seal in round {round} of task {taskId}, or a later one has replaced it",
        "only the latest seal of a miner can be asked about",
    ),
    "WrongDemandState": ("the demand is in state {state}, which does not permit this", "see the events of the court"),
    "WrongContent": ("this content is demanded or answered in another way ({content})", "use the function for it"),
    "WrongData": ("the data have the digest {given}, and {target} is wanted", "give the whole block, unchanged"),
    "NoLink": ("there is no CID at offset {offset} of the parent", "give the place where the CID begins"),
    # ---- creating a task
    "RegistryWithoutCode": ("there is no registry at {registry}", "deploy the NodeRegistry first"),
    "ZeroSpec": ("the task has no spec", _SPEC),
    "ZeroCheckpoint": ("the task has no initial model", _SPEC),
    "ZeroRounds": ("a task needs at least one round", _SPEC),
    "ZeroMinMiners": ("a task needs at least one miner", _SPEC),
    "MaxMinersTooLow": ("at most {maxMiners} miners cannot be fewer than at least {minMiners}", _SPEC),
    "ZeroStartWindow": ("the start window cannot be zero seconds", _SPEC),
    "ZeroCommitWindow": ("the commit window cannot be zero seconds", _SPEC),
    "ZeroRevealWindow": ("the reveal window cannot be zero seconds", _SPEC),
    "ZeroFinalizeWindow": ("the finalize window cannot be zero seconds", _SPEC),
    "BudgetTooLow": (
        "the budget {budget} does not cover all rounds, which need {required} (wei or token units)",
        "raise the budget to {required}, or lower the reward a round or the number of rounds",
    ),
    "WindowTooLong": ("a window of {window} s is longer than the {maximum} s that the contract can keep", _SPEC),
    "CountTooHigh": ("a count of {count} is above the {maximum} that the contract can keep", _SPEC),
    "BudgetTooHigh": (
        "the budget {budget} is above the {maximum} that the contract can keep (wei or token units)",
        "split the task",
    ),
    "StopLossTooHigh": ("a stop-loss of {stopLoss} millionths is above the most possible, {maximum}", _SPEC),
    "TokenWithoutCode": ("there is no token at {token}", "check the token's address and the chain"),
    "WrongValue": (
        "{sent:amount} were sent with the task, expected {expected:amount}",
        "send the budget with a task paid in coins, and nothing with one paid in tokens",
    ),
    "EscrowMismatch": (
        "the token credited {received} units instead of {expected}",
        "tokens that take a fee on transfers cannot pay for tasks",
    ),
    # ---- tasks and membership
    "UnknownTask": ("there is no task {taskId}", "`pot task list` shows the tasks"),
    "WrongTaskState": ("task {taskId} is {state:state}, which does not allow this", "see `pot task show {taskId}`"),
    "NotTaskOwner": ("{caller} does not own the task", "only {owner} can do this"),
    "CancelAlreadyRequested": ("task {taskId} is being cancelled already", "it ends with the open round"),
    "NotActiveMiner": ("{account} is not a registered miner", "register it with a stake: `pot miner start` does"),
    "MinerBonded": (
        "{miner} is a bonded miner, and stays a member",
        "only a miner whose stake is leaving can be taken out",
    ),
    "AlreadyMember": (
        "miner {miner} is already a member of task {taskId}",
        "one account joins a task once; use another account for a second rig",
    ),
    "NotMember": (
        "{account} is not a member of task {taskId} in this round",
        "join first; one is a member from the next round",
    ),
    "TaskFull": ("task {taskId} has its {maxMiners} miners", "wait until one leaves, or choose another task"),
    "NoValidatorEpoch": ("there is no validator epoch yet, so no round can start", "start four validators first"),
    # ---- rounds
    "WrongRound": ("round {given} is not open; the open round is {open}", "it was decided or skipped meanwhile"),
    "CommitsClosed": ("the commit deadline was {deadline:time}", "the next round is open soon"),
    "RevealsClosed": ("the reveal deadline was {deadline:time}", "the next round is open soon"),
    "FinalizeDeadlineNotPassed": ("the round can be skipped after {deadline:time}", "wait: it may still be decided"),
    "StartDeadlineNotPassed": ("the task can be expired from {startDeadline:time}", "wait: it may still start"),
    "ZeroSeal": ("a seal cannot be zero", _BUG),
    "AlreadyCommitted": (
        "miner {miner} has committed in round {round} of task {taskId} already",
        "one gradient a round; does a second process use the same account?",
    ),
    "NotCommitted": ("miner {miner} has not committed in round {round} of task {taskId}", "commit first"),
    "AlreadyRevealed": ("miner {miner} has revealed in round {round} of task {taskId} already", ""),
    "SealMismatch": ("digest and salt do not open the seal {committed}", "reveal what was committed in this round"),
    "WrongParent": ("the outcome builds on {given}, the task's head is {head}", _RELAY),
    "WrongEpoch": ("the certificate is of epoch {given}, the round is bound to epoch {bound}", _RELAY),
    "EpochOver": (
        "the certificates of validator epoch {epoch} counted until {expiresAt:time}",
        "the round can only be skipped; the next one belongs to a new epoch",
    ),
    "WrongChainReveals": ("the outcome counts {given} on-chain reveals, there are {counted}", _RELAY),
    "RewardsDecreased": ("the outcome lowers the rewards from {allocated} to {given}", _RELAY),
    "RewardsTooHigh": ("the outcome pays {increase}, a round pays at most {rewardPerRound}", _RELAY),
    # ---- payout
    "InvalidRewardProof": (
        "the proof does not show a reward of {cumulative} for {account} in task {taskId}",
        "fetch the proof again: each final round makes a new one",
    ),
    "NothingToClaim": ("{account} has been paid all it earned in task {taskId} ({claimed})", ""),
    "NothingToRefund": ("nothing is left to refund in task {taskId}", ""),
    # ---- tokens (ERC-6093)
    "ERC20InsufficientBalance": ("{holder} holds {balance} token units and needs {needed}", "get more of the token"),
    "ERC20InsufficientAllowance": (
        "{spender} may take {allowance} token units and needs {needed}",
        "approve the amount first",
    ),
    "SafeERC20FailedOperation": ("the token {token} refused the transfer", "check its balance, allowance and rules"),
    # ---- OpenZeppelin and ours, not expected to be seen
    "FailedCall": ("the receiver did not take the payment", "claim to an account that accepts coins"),
    "InsufficientBalance": ("the contract holds {balance} wei and has to pay {needed}", _BUG),
    "ReentrancyGuardReentrantCall": ("a receiver or token called back into the contract", ""),
    "SafeCastOverflowedUintDowncast": ("the value {value} does not fit {bits} bits", _BUG),
    # ---- deployment
    "Complete": ("the contracts of this deployment exist already", ""),
    "WrongCode": (
        "the code with hash {given} is not that of part {part} of the deployment, {expected}",
        "compile the sources that the deployment was begun with",
    ),
    "CreationFailed": (
        "the constructor of part {part} refused its arguments, or the gas was too low",
        "check the parameters of the deployment",
    ),
    "InvalidShortString": ("a string constant is too long", _BUG),
    "StringTooLong": ("a string constant is too long: {str}", _BUG),
}
