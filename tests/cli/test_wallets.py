"""``pot wallet``: keys are made, imported and listed, and never shown."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from eth_account import Account

from .conftest import Shell, Zygote

PASSWORD = {"POT_KEYSTORE_PASSWORD": "correct horse"}


@pytest.fixture
def home(tmp_path: Path, zygote: Zygote) -> Shell:
    return Shell(tmp_path, zygote)


def test_a_new_wallet_opens_with_its_password_only(home: Shell) -> None:
    made = home("wallet", "new", "alice", "--json", env=PASSWORD).succeeded().json
    path = Path(made["keystore"])
    assert path == home.home / "wallets" / "alice.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = Account.decrypt(json.loads(path.read_text()), "correct horse")
    assert Account.from_key(key).address == made["address"]
    assert [item["name"] for item in home("wallet", "list", "--json").succeeded().json] == ["alice"]
    home("wallet", "new", "alice", env=PASSWORD).failed("a wallet 'alice' exists", "another name")


def test_a_key_from_a_file_is_imported_and_not_shown(home: Shell) -> None:
    account = Account.create()
    source = home.home / "key.hex"
    source.write_text(account.key.to_0x_hex() + "\n")
    password = home.home / "password"
    password.write_text("from a file\n")
    done = home("wallet", "import", "bob", source, "--password-file", password, "--json").succeeded()
    assert done.json["address"] == account.address
    assert account.key.hex() not in done.out + done.err
    again = home("wallet", "import", "bobby", done.json["keystore"], "--password-file", password).succeeded()
    assert account.address in again.out


def test_what_is_no_key_is_not_repeated(home: Shell) -> None:
    source = home.home / "key.hex"
    source.write_text("5ec2e7" * 10)
    done = home("wallet", "import", "eve", source, env=PASSWORD).failed("not a private key", "64 hex digits")
    assert "5ec2e7" not in done.out + done.err
    assert home("wallet", "import", "eve", home.home / "nothing", env=PASSWORD).code == 2


def test_without_a_terminal_and_a_password_there_is_no_wallet(home: Shell) -> None:
    home("wallet", "new", "carol").failed("the keystore needs a password", "POT_KEYSTORE_PASSWORD")
    assert home("wallet", "list", "--json").json == []


def test_a_person_is_asked_twice_and_the_password_is_not_echoed(home: Shell) -> None:
    code, screen = home.in_terminal("wallet", "new", "dave", answers=["open sesame", "open sesame"])
    assert code == 0, screen
    assert "open sesame" not in screen
    assert (home.home / "wallets" / "dave.json").exists()
    code, screen = home.in_terminal("wallet", "new", "erin", answers=["open sesame", "open says me"])
    assert code == 1
    assert "the two passwords differ" in screen
    assert not (home.home / "wallets" / "erin.json").exists()


def test_lists_without_wallets_say_what_to_do(home: Shell) -> None:
    assert "pot wallet new NAME" in home("wallet", "list").succeeded().err


def test_balances_and_coins_on_a_local_network(up: Shell) -> None:
    address = Account.create().address
    assert "250 ETH" in up("wallet", "fund", address, "--amount", "250eth").succeeded().out
    listed = up("wallet", "balance", "owner", address, "--json").succeeded().json
    assert listed[0]["name"] == "owner"
    assert listed[1] == {"name": address, "address": address, "wei": str(250 * 10**18)}
    up("wallet", "fund", address, "--amount", "-1eth").failed("an amount cannot be negative", "")
    up("wallet", "balance", "nobody").failed("no wallet 'nobody'", "")
    up("wallet", "fund", "0x1234").failed("not an address: '0x1234'", "40 hex digits")
