"""``pot deploy`` and ``pot miner delegate``, as strangers type them."""

from __future__ import annotations

import json
from pathlib import Path

from pot_chain.localnet.description import Description

from .conftest import ETHER, Shell


def local(up: Shell) -> Description:
    return up.network().description()


def test_a_stranger_deploys_to_any_chain_once(up: Shell, tmp_path: Path) -> None:
    file = tmp_path / "deployments" / "31337.json"
    options = ("--rpc", local(up).rpc_url, "--deployment", file, "--validator-stake", "3eth", "--json")
    wallet = ("--keystore", up.network().paths.wallet("owner"))
    env = {"POT_KEYSTORE_PASSWORD": up.network().paths.password.read_text().strip()}
    first = up("deploy", *options, *wallet, "--verification", env=env).succeeded().json
    assert first["new"] is True
    assert json.loads(Path(first["verification"]).read_text())["language"] == "Solidity"
    written = json.loads(file.read_text())
    assert {name: item["address"] for name, item in written["contracts"].items()} == first["contracts"]
    assert written["contracts"]["NodeRegistry"]["arguments"]["minValidatorStake"] == str(3 * ETHER)

    again = up("deploy", *options).succeeded()  # without a key: nothing has to be sent
    assert again.json == {**first, "new": False, "verification": None}
    assert json.loads(file.read_text()) == written
    shown = up("deploy", *options[:-1]).succeeded()
    assert "lie on this chain already; nothing was sent" in shown.err
    assert first["contracts"]["ProofOfTraining"] in shown.out

    salted = up("deploy", *options, *wallet, "--salt", "0x" + "01" * 32, env=env).succeeded().json
    assert set(salted["contracts"].values()).isdisjoint(first["contracts"].values())
    assert up("task", "list", *options[:4], "--ipfs", local(up).ipfs.address, "--json").succeeded().json == []


def test_parameters_that_no_network_can_have(up: Shell) -> None:
    wallet = ("--keystore", "owner")
    short = up("deploy", *wallet, "--deployment", up.home / "d.json", "--epoch-length", "20d")
    short.failed("an epoch lifetime of 2592000 s is too short", "raise the lifetime")
    up("deploy", *wallet, "--deposit", "much").failed("not an amount: 'much'", "1.5eth")
    up("deploy", *wallet, "--salt", "0x01").failed("not a 32-byte digest", "64")
    assert not (up.home / "d.json").exists()


def test_a_cold_wallet_lets_a_hot_one_mine(up: Shell) -> None:
    env = {"POT_KEYSTORE_PASSWORD": "secret"}
    cold, hot = (up("wallet", "new", name, "--json", env=env).succeeded().json["address"] for name in ("cold", "hot"))
    for name in ("cold", "hot"):
        up("wallet", "fund", name).succeeded()
    granted = ("miner", "delegate", "authorize", "hot", "--keystore", "cold", "--for", "1h")
    done = up(*granted, "--allowance", "0.5eth", "--json", env=env).succeeded().json
    assert (done["node"], done["delegate"], done["registered"]) == (cold, hot, True)
    assert done["allowance"] == str(ETHER // 2)
    assert "may draw 0.5 ETH" in up(*granted, env=env).succeeded().out
    drawn = up("miner", "delegate", "draw", "cold", "--keystore", "hot", "--amount", "0.2eth", env=env).succeeded()
    assert drawn.out == f"0.2 ETH drawn from {cold}\n"
    revoked = up("miner", "delegate", "revoke", "hot", "--keystore", "cold", "--json", env=env).succeeded().json
    assert revoked["returned"] == str(3 * ETHER // 10)
    up("miner", "delegate", "revoke", hot, "--keystore", "cold", env=env).failed("is no delegate of", "address")
    task_id = up("task", "create", up.spec(), "--json").succeeded().json["task_id"]
    mine = ("miner", "start", "--task", task_id, "--keystore", "hot", "--delegate-of", "cold")
    up(*mine, env=env).failed(f"{hot} may not mine for {cold}", "pot miner delegate authorize")
    up("task", "cancel", task_id).succeeded()
