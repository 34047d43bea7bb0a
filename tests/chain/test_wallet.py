from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from web3 import Web3

from pot_chain.chain.anvil import fund
from pot_chain.chain.errors import WalletError, WrongPassword
from pot_chain.chain.wallet import (
    PASSWORD_VARIABLE,
    Strength,
    Wallet,
    WalletFolder,
    balances,
    read_password,
    unlock,
)

KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
ADDRESS = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"
# the scrypt vector of the Web3 Secret Storage definition: other wallets' files open, too
STANDARD_VECTOR = {
    "address": "008aeeda4d805471df9b2a5b0f38a0c3bcba786b",
    "crypto": {
        "cipher": "aes-128-ctr",
        "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
        "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
        "kdf": "scrypt",
        "kdfparams": {
            "dklen": 32,
            "n": 262144,
            "p": 8,
            "r": 1,
            "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19",
        },
        "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
    },
    "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
    "version": 3,
}
VECTOR_KEY = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d"


@pytest.fixture
def wallets(tmp_path: Path) -> WalletFolder:
    return WalletFolder(tmp_path / "wallets")


def test_a_new_wallet_opens_with_its_password_only(wallets: WalletFolder) -> None:
    wallet = wallets.new("alice", "secret", Strength.LIGHT)
    account = unlock(wallet.path, "secret")
    assert account.address == wallet.address
    with pytest.raises(WrongPassword, match=r"wrong password for .*alice\.json") as caught:
        unlock(wallet.path, "Secret")
    assert PASSWORD_VARIABLE in caught.value.hint
    assert wallets.list() == [wallet] == [Wallet.read(wallet.path)]


def test_keys_are_not_repeated(wallets: WalletFolder) -> None:
    assert len({wallets.new(f"w{i}", "x", Strength.LIGHT).address for i in range(8)}) == 8


def test_files_are_private_and_hold_no_bare_key(wallets: WalletFolder) -> None:
    wallet = wallets.import_key("alice", KEY, "secret", Strength.LIGHT)
    assert wallet.path.stat().st_mode & 0o777 == 0o600
    assert wallets.folder.stat().st_mode & 0o777 == 0o700
    assert KEY not in wallet.path.read_text(encoding="utf-8")
    assert [path.name for path in wallets.folder.iterdir()] == ["alice.json"]


def test_strength_is_the_work_factor(wallets: WalletFolder) -> None:
    for strength, n in ((Strength.LIGHT, 4096), (Strength.STANDARD, 262144)):
        wallet = wallets.new(strength.name, "secret", strength)
        kdf = json.loads(wallet.path.read_text(encoding="utf-8"))["crypto"]
        assert (kdf["kdf"], kdf["kdfparams"]["n"]) == ("scrypt", n)


def test_a_wallet_is_never_overwritten(wallets: WalletFolder) -> None:
    wallet = wallets.new("alice", "secret", Strength.LIGHT)
    before = wallet.path.read_bytes()
    with pytest.raises(WalletError, match="exists"):
        wallets.new("alice", "other", Strength.LIGHT)
    assert wallet.path.read_bytes() == before


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65, "a b", "a\n"])
def test_names_are_file_names(wallets: WalletFolder, name: str) -> None:
    with pytest.raises(WalletError, match="not a wallet name"):
        wallets.new(name, "secret", Strength.LIGHT)


def test_a_password_is_needed(wallets: WalletFolder) -> None:
    with pytest.raises(WalletError, match="needs a password"):
        wallets.new("alice", "", Strength.LIGHT)


@pytest.mark.parametrize("text", [KEY, "0x" + KEY, f"  {KEY.upper()}\n"])
def test_a_key_is_imported_as_people_write_it(wallets: WalletFolder, text: str) -> None:
    assert wallets.import_key("alice", text, "secret", Strength.LIGHT).address == ADDRESS


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.from_regex(r"(0x)?[0-9a-f]{60,68}", fullmatch=True))
def test_what_is_no_key_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    digits = text.strip().removeprefix("0x")
    if len(digits) == 64 and digits.isascii() and set(digits.lower()) <= set("0123456789abcdef"):
        assert Account.from_key(digits)  # a key after all
        return
    with pytest.raises(WalletError, match="not a private key") as caught:
        WalletFolder(tmp_path).import_key("alice", text, "secret", Strength.LIGHT)
    assert len(text) < 8 or text not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize("number", [0, 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141])
def test_a_number_off_the_curve_is_no_key(wallets: WalletFolder, number: int) -> None:
    with pytest.raises(WalletError, match="not a private key"):
        wallets.import_key("alice", f"{number:064x}", "secret", Strength.LIGHT)


def test_files_are_imported(wallets: WalletFolder, tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text(f"0x{KEY}\n", encoding="utf-8")
    assert wallets.import_file("hex", tmp_path / "key.txt", "secret", Strength.LIGHT).address == ADDRESS
    (tmp_path / "UTC--other").write_text(json.dumps(STANDARD_VECTOR), encoding="utf-8")
    wallet = wallets.import_file(
        "geth", tmp_path / "UTC--other", "secret", Strength.LIGHT, source_password="testpassword"
    )
    assert unlock(wallet.path, "secret").key.hex() == VECTOR_KEY
    with pytest.raises(WrongPassword):
        wallets.import_file("copy", wallet.path, "other", Strength.LIGHT)
    with pytest.raises(WalletError, match="cannot read"):
        wallets.import_file("none", tmp_path / "none", "secret")


def test_a_wallet_is_found_as_people_name_it(wallets: WalletFolder, tmp_path: Path) -> None:
    with pytest.raises(WalletError, match="no wallet 'alice'") as none:
        wallets.find("alice")
    assert "pot wallet new" in none.value.hint
    alice, bob = (wallets.new(name, "secret", Strength.LIGHT) for name in ("alice", "bob"))
    for reference in ("alice", alice.address, alice.address.lower(), str(alice.path)):
        assert wallets.find(reference) == alice
    with pytest.raises(WalletError, match="no wallet 'carol'") as some:
        wallets.find("carol")
    assert "alice, bob" in some.value.hint
    assert WalletFolder(tmp_path / "other").find(str(bob.path)).address == bob.address


def test_a_strangers_file_does_not_hide_the_wallets(wallets: WalletFolder) -> None:
    wallet = wallets.new("alice", "secret", Strength.LIGHT)
    (wallets.folder / "notes.json").write_text("[]", encoding="utf-8")
    (wallets.folder / "broken.json").write_bytes(b"\xff\xfe")
    assert wallets.list() == [wallet]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda store: store.update(version=2), "not a keystore"),
        (lambda store: store.pop("crypto"), "not a keystore"),
        (lambda store: store.update(address="0x12"), "does not name its address"),
        (lambda store: store.update(address=ADDRESS), "holds the key of"),
        (lambda store: store["crypto"].update(kdf="none"), "not a keystore that can be read"),
        (lambda store: store["crypto"].pop("mac"), "not a keystore that can be read"),
        (lambda store: store["crypto"].update(ciphertext="00" * 32), "wrong password"),
        (lambda store: store["crypto"].update(ciphertext="zz"), "is damaged"),
    ],
)
def test_a_damaged_keystore_is_reported(wallets: WalletFolder, change: object, message: str) -> None:
    path = wallets.new("alice", "secret", Strength.LIGHT).path
    store = json.loads(path.read_text(encoding="utf-8"))
    change(store)  # type: ignore[operator]
    path.write_text(json.dumps(store), encoding="utf-8")
    with pytest.raises(WalletError, match=message):
        unlock(path, "secret")


documents = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["version", "crypto", "address"]), inner | st.just(3), max_size=3)
    ),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | documents.map(lambda document: json.dumps(document).encode()))
def test_any_file_is_a_keystore_or_a_wallet_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.json"
    path.write_bytes(content)
    with pytest.raises(WalletError):
        unlock(path, "secret")


def test_a_missing_keystore_is_reported(tmp_path: Path) -> None:
    with pytest.raises(WalletError, match="there is no keystore"):
        unlock(tmp_path / "none.json", "secret")


def test_where_a_password_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "password"
    file.write_text("from file\nsecond line\n", encoding="utf-8")
    monkeypatch.setenv(PASSWORD_VARIABLE, "from environment")
    assert read_password("?", file=file, prompt=lambda question: "typed") == "from file"
    assert read_password("?", prompt=lambda question: "typed") == "from environment"
    monkeypatch.delenv(PASSWORD_VARIABLE)
    asked: list[str] = []
    assert read_password("Password", prompt=lambda question: asked.append(question) or "typed", confirm=True) == "typed"
    assert asked == ["Password", "Password (again)"]


def test_passwords_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    with pytest.raises(WalletError, match="needs a password"):
        read_password("?")
    answers = iter(["one", "two"])
    with pytest.raises(WalletError, match="differ"):
        read_password("?", prompt=lambda question: next(answers), confirm=True)
    (tmp_path / "empty").write_text("", encoding="utf-8")
    with pytest.raises(WalletError, match="is empty"):
        read_password("?", file=tmp_path / "empty")
    with pytest.raises(WalletError, match="cannot read the password file"):
        read_password("?", file=tmp_path / "none")
    monkeypatch.setenv(PASSWORD_VARIABLE, "")
    with pytest.raises(WalletError, match=f"{PASSWORD_VARIABLE} is empty"):
        read_password("?")


def test_balances(web3: Web3) -> None:
    rich, poor = Account.create().address, Account.create().address
    fund(web3, rich, 10**24 + 1)
    assert balances(web3, [rich, poor]) == {rich: 10**24 + 1, poor: 0}
    assert balances(web3, []) == {}
